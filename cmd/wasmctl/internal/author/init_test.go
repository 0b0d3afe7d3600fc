// SPDX-License-Identifier: Apache-2.0

package author

import (
	"bytes"
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/creack/pty"
	"github.com/spf13/cobra"

	"github.com/solarmesh/wasmplugin-operator/cmd/wasmctl/internal/cli"
	"github.com/solarmesh/wasmplugin-operator/cmd/wasmctl/internal/offline"
	"github.com/solarmesh/wasmplugin-operator/internal/scaffold"
)

// call runs a command as wasmctl does, and returns what it wrote, the exit code, and its last words.
func call(ctx context.Context, cmd *cobra.Command, args ...string) (out string, code int, said string) {
	var output, errors bytes.Buffer
	cmd.SetArgs(args)
	cmd.SetIn(strings.NewReader(""))
	cmd.SetOut(&output)
	cmd.SetErr(&errors)
	cmd.SilenceUsage, cmd.SilenceErrors = true, true
	code = cli.Report(ctx, &errors, "wasmctl", cmd.ExecuteContext(ctx))
	return output.String(), code, errors.String()
}

// TestInit: each language makes all of its files, and nothing else, and validate takes the sample.
func TestInit(t *testing.T) {
	for _, language := range scaffold.Languages() {
		t.Run(language.Name, func(t *testing.T) {
			t.Chdir(t.TempDir())
			out, code, said := call(t.Context(), newInit(), "demo", "--language", language.Name)
			if code != cli.ExitGood || said != "" {
				t.Fatalf("code %d: %s", code, said)
			}
			files, err := scaffold.Files(language, "demo")
			if err != nil {
				t.Fatal(err)
			}
			for _, file := range files {
				got, err := os.ReadFile(filepath.Join("demo", file.Path))
				if err != nil || !bytes.Equal(got, file.Content) {
					t.Errorf("%s: %v, or not as it should be", file.Path, err)
				}
				if !strings.Contains(out, "demo/"+file.Path+"\n") {
					t.Errorf("the output doesn't name %s:\n%s", file.Path, out)
				}
			}
			checkAlone(t, "demo")
			if out, code, said := call(t.Context(), offline.NewValidate(), "-f", "demo/plugin.yaml"); code != cli.ExitGood {
				t.Errorf("validate: code %d: %s%s", code, out, said)
			}
		})
	}
}

// checkAlone: the current folder has nothing but these.
func checkAlone(t *testing.T, names ...string) {
	t.Helper()
	entries, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, entry := range entries {
		got = append(got, entry.Name())
	}
	if strings.Join(got, " ") != strings.Join(names, " ") {
		t.Errorf("the folder has %q, want %q", got, names)
	}
}

func TestInitRefuses(t *testing.T) {
	for _, row := range []struct {
		name string
		args []string
		want string
	}{
		{"no name", []string{"-l", "go"}, "give the new plugin one name"},
		{"two names", []string{"a", "b", "-l", "go"}, "give the new plugin one name"},
		{"a bad name", []string{"Basic_Auth", "-l", "go"}, `"Basic_Auth" can't be a plugin's name; take up to 63 lower-case letters`},
		{"a path", []string{"../demo", "-l", "go"}, "can't be a plugin's name"},
		{"an unknown language", []string{"demo", "-l", "cobol"}, `--language: language "cobol" is none of go, tinygo, rust`},
		{"no terminal", []string{"demo"}, "there is no terminal to ask for the language; give --language go|tinygo|rust|assemblyscript|cpp"},
		{"a folder with something in it", []string{"full", "-l", "go"}, "the folder full exists and isn't empty; take another name"},
		{"a file", []string{"file", "-l", "go"}, "file is there and is no folder that can be used"},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Chdir(t.TempDir())
			if err := os.MkdirAll("full/inner", 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile("file", nil, 0o600); err != nil {
				t.Fatal(err)
			}
			out, code, said := call(t.Context(), newInit(), row.args...)
			if code != cli.ExitFailed || out != "" || !strings.Contains(said, row.want) || strings.Count(said, "\n") != 1 {
				t.Errorf("code %d, output %q, said %q, want %q", code, out, said, row.want)
			}
			checkAlone(t, "file", "full")
		})
	}
}

func TestInitInEmptyFolder(t *testing.T) {
	t.Chdir(t.TempDir())
	if err := os.Mkdir("demo", 0o755); err != nil {
		t.Fatal(err)
	}
	if _, code, said := call(t.Context(), newInit(), "demo", "-l", "go"); code != cli.ExitGood {
		t.Fatalf("code %d: %s", code, said)
	}
	if _, err := os.Stat("demo/main.go"); err != nil {
		t.Error(err)
	}
	checkAlone(t, "demo")
}

// TestInitStopped: Ctrl-C leaves nothing, not even half of a folder.
func TestInitStopped(t *testing.T) {
	t.Chdir(t.TempDir())
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, code, said := call(ctx, newInit(), "demo", "-l", "go"); code != cli.ExitFailed || said != "wasmctl: stopped\n" {
		t.Errorf("code %d: %s", code, said)
	}
	checkAlone(t)
}

// TestMenu: on a terminal, arrow keys choose.
func TestMenu(t *testing.T) {
	for _, row := range []struct {
		name, keys string
		file, said string
	}{
		{"the first one", "\r", "demo/main.go", ""},
		{"down twice", "\x1b[B\x1b[B\r", "demo/Cargo.toml", ""},
		{"down and up", "\x1b[B\x1b[B\x1b[A\x1b[A\r", "demo/main.go", ""},
		{"Ctrl-C", "\x03", "", "no language was chosen, so nothing was made"},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Chdir(t.TempDir())
			screen, err := menu(t, row.keys)
			if !strings.Contains(screen, "What language do you wish to use for the filter:") ||
				!strings.Contains(screen, "tinygo (untested)") || strings.Contains(screen, "rust (untested)") {
				t.Errorf("the screen shows\n%q", screen)
			}
			if row.said != "" {
				if err == nil || err.Error() != row.said {
					t.Errorf("got %v, want %s", err, row.said)
				}
				checkAlone(t)
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if _, err := os.Stat(row.file); err != nil {
				t.Error(err)
			}
			checkAlone(t, "demo")
		})
	}
}

// menu runs init on a terminal, and presses keys once the menu stands there.
func menu(t *testing.T, keys string) (string, error) {
	t.Helper()
	keyboard, terminal, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer keyboard.Close()
	if err := pty.Setsize(keyboard, &pty.Winsize{Rows: 40, Cols: 120}); err != nil {
		t.Fatal(err)
	}
	shown := make(chan struct{})
	var screen bytes.Buffer
	read := make(chan struct{})
	go func() {
		defer close(read)
		buffer := make([]byte, 4096)
		for {
			n, err := keyboard.Read(buffer)
			before := bytes.Contains(screen.Bytes(), []byte("cpp"))
			screen.Write(buffer[:n])
			if !before && bytes.Contains(screen.Bytes(), []byte("cpp")) {
				close(shown)
			}
			if err != nil {
				return
			}
		}
	}()
	ended := make(chan error, 1)
	go func() {
		options := initOptions{}
		ended <- options.run(t.Context(), "demo", terminal, io.Discard, terminal)
	}()
	select {
	case <-shown:
	case err := <-ended:
		t.Fatalf("it ended before the menu stood there: %v", err)
	case <-time.After(time.Minute):
		t.Fatal("there is no menu")
	}
	if _, err := keyboard.WriteString(keys); err != nil {
		t.Fatal(err)
	}
	select {
	case err = <-ended:
	case <-time.After(time.Minute):
		t.Fatal("the menu doesn't end")
	}
	terminal.Close()
	<-read
	return screen.String(), err
}
