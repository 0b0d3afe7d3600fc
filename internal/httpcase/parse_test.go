// SPDX-License-Identifier: Apache-2.0

package httpcase

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const whole = `# Comments stand before a request.

### first
# of this case
@rules {"a": 1}
POST /path?q=1 HTTP/1.1
Host: shop.example.com
X-A: 1
X-A: 2

line 1

line 2

===
HTTP/1.1 404 Not Found
Content-Type: text/plain

nothing
--->
HTTP/1.1 403
Hello: world
!Server
> X-User: me
> !authorization
> :path: /other
> host: other

denied

###
GET / HTTP/1.1
--->
x: y

### refused
@rules {}
--->
refused: words of it
`

func TestParse(t *testing.T) {
	want := []Case{
		{
			File: "f", Line: 3, Name: "first", Rules: `{"a": 1}`, RulesLine: 5,
			Request: Message{
				Method: "POST", Target: "/path?q=1", Body: "line 1\n\nline 2",
				Headers: []Header{{"host", "shop.example.com"}, {"x-a", "1"}, {"x-a", "2"}},
			},
			Answer: Message{Status: 404, Headers: []Header{{"content-type", "text/plain"}}, Body: "nothing"},
			Expected: Expected{
				Status:   403,
				Response: []HeaderRule{{Header: Header{"hello", "world"}}, {Header: Header{Name: "server"}, Absent: true}},
				Reached: []HeaderRule{
					{Header: Header{"x-user", "me"}},
					{Header: Header{Name: "authorization"}, Absent: true},
					{Header: Header{":path", "/other"}},
					{Header: Header{":authority", "other"}},
				},
				Body: new("denied"),
			},
		},
		{
			File: "f", Line: 31, Name: "GET /",
			Request:  Message{Method: "GET", Target: "/", Headers: []Header{{"host", "localhost"}}},
			Answer:   Message{Status: 200},
			Expected: Expected{Response: []HeaderRule{{Header: Header{"x", "y"}}}},
		},
		{
			File: "f", Line: 36, Name: "refused", Rules: "{}", RulesLine: 37, Answer: Message{Status: 200},
			Expected: Expected{Refused: true, Words: "words of it"},
		},
	}
	for name, content := range map[string]string{"lines of Unix": whole, "lines of Windows": strings.ReplaceAll(whole, "\n", "\r\n")} {
		t.Run(name, func(t *testing.T) {
			got, err := Parse("f", []byte(content))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestParseRefuses(t *testing.T) {
	const good = "GET / HTTP/1.1\n"
	for name, row := range map[string]struct{ content, want string }{
		"nothing":               {"", "f:1: the file has no case"},
		"only comments":         {"# later\n\n", "f:1: the file has no case"},
		"an empty case":         {"### a\n\n### b\n" + good + "--->\nx: y\n", "f:1: the case is empty"},
		"no expectation":        {"### a\n" + good, "f:2: the case expects nothing"},
		"nothing expected":      {good + "--->\n", "f:2: after ---> stands what is expected"},
		"empty lines expected":  {good + "--->\n\n\n", "f:3: after ---> stands what is expected"},
		"no request":            {"### a\n--->\nHTTP/1.1 200\n", "f:1: the case has no request"},
		"no version":            {"GET /\n--->\nx: y\n", `f:1: this is no request line such as "GET /path HTTP/1.1"`},
		"a version of its own":  {"GET / HTTP/2\n--->\nx: y\n", "f:1: this is no request line"},
		"a whole URL":           {"GET http://a/ HTTP/1.1\n--->\nx: y\n", "f:1: this is no request line"},
		"a method that is none": {"G(T / HTTP/1.1\n--->\nx: y\n", "f:1: this is no request line"},
		"a path with a bell":    {"GET /\a HTTP/1.1\n--->\nx: y\n", "f:1: this is no request line"},
		"a header without name": {good + "what\n--->\nx: y\n", `f:2: this is no header`},
		"a pseudo header":       {good + ":path: /\n--->\nx: y\n", `f:2: this is no header`},
		"a header with a bell":  {good + "a: \a\n--->\nx: y\n", `f:2: the value of the header a`},
		"content-length":        {good + "Content-Length: 3\n--->\nx: y\n", "f:2: content-length can't be given"},
		"two hosts":             {good + "Host: a\nHost: b\n--->\nx: y\n", "f:1: the request has several headers Host"},
		"rules that are none":   {"@rules {\n" + good + "--->\nx: y\n", "f:1: the rules are no JSON"},
		"rules twice":           {"@rules {}\n@rules {}\n" + good + "--->\nx: y\n", "f:2: the case has its rules twice"},
		"an empty answer":       {good + "===\n--->\nx: y\n", `f:2: after === stands what the server answers`},
		"an answer of no status": {
			good + "===\nx: y\n--->\nx: y\n", `f:3: this is no status line such as "HTTP/1.1 200"`,
		},
		"a status that is none":    {good + "--->\nHTTP/1.1 99\n", `f:3: the status "99"`},
		"two statuses":             {good + "--->\nHTTP/1.1 200\nHTTP/1.1 201\n", `f:4: a second status`},
		"two answers":              {good + "===\nHTTP/1.1 200\n===\n--->\nx: y\n", "f:4: a second line ==="},
		"an answer behind":         {good + "--->\nx: y\n===\nHTTP/1.1 200\n", "f:4: a line === after --->"},
		"absent without name":      {good + "--->\n!\n", "f:3: after ! stands the name"},
		"an expected non-header":   {good + "--->\n> what\n", "f:3: this is no header"},
		"refused and answered":     {good + "--->\nrefused\nHTTP/1.1 200\n", `f:3: a plugin that refuses its rules`},
		"a second case that fails": {good + "--->\nx: y\n###\n" + good, "f:5: the case expects nothing"},
	} {
		t.Run(name, func(t *testing.T) {
			cases, err := Parse("f", []byte(row.content))
			if err == nil || !strings.HasPrefix(err.Error(), row.want) {
				t.Errorf("got %+v, %v, want %s", cases, err, row.want)
			}
		})
	}
	if _, err := Parse("f", make([]byte, MaxFileSize+1)); err == nil {
		t.Error("a file of any size is read")
	}
}

// FuzzParse: whatever a file holds, each case that comes out of it has what a case needs.
func FuzzParse(f *testing.F) {
	f.Add([]byte(whole))
	f.Add([]byte("###\n===\n--->\n\n###"))
	f.Add([]byte("@rules 1\n--->\nrefused"))
	f.Fuzz(func(t *testing.T, content []byte) {
		cases, err := Parse("f", content)
		if (err == nil) != (len(cases) > 0) {
			t.Fatalf("%d cases, %v", len(cases), err)
		}
		if err != nil && !strings.HasPrefix(err.Error(), "f:") {
			t.Errorf("no place in %v", err)
		}
		for _, c := range cases {
			if c.Line < 1 || c.Name == "" && !strings.Contains(string(content), caseMark) || c.Expected.empty() {
				t.Errorf("not whole: %+v", c)
			}
			if c.Request.Method == "" && !c.Expected.Refused || c.Answer.Status < 200 {
				t.Errorf("not whole: %+v", c)
			}
			c.Compare(Outcome{Response: &c.Answer, Reached: &c.Request})
		}
	})
}
