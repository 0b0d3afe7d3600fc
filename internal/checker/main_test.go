// SPDX-License-Identifier: Apache-2.0

package checker

import (
	"bytes"
	"context"
	"encoding/binary"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/go-logr/logr/funcr"

	"github.com/solarmesh/wasmplugin-operator/internal/drystart"
)

// TestMain makes the tests' program a checker, too, and a process that has one as its child.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 {
		switch os.Args[1] {
		case "checker":
			end(serveAlone(os.Args[2:]))
		case "parent":
			end(haveChild())
		}
	}
	os.Exit(m.Run())
}

func end(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

func serveAlone(args []string) error {
	options := ServerOptions{Log: logTo(func(line string) { fmt.Fprintln(os.Stderr, line) })}
	var untilClosed bool
	flags := flag.NewFlagSet("checker", flag.ExitOnError)
	flags.StringVar(&options.Socket, "socket", "", "")
	flags.Int64Var(&options.MemoryLimit, "memory-limit", 0, "")
	flags.DurationVar(&options.TimeLimit, "time-limit", 0, "")
	flags.DurationVar(&options.Plugins.Interpret, "interpret", 0, "")
	flags.BoolVar(&untilClosed, "until-stdin-closes", false, "")
	if err := flags.Parse(args); err != nil {
		return err
	}
	ctx := context.Background()
	if untilClosed {
		ctx = UntilClosed(ctx, os.Stdin)
	}
	return NewServer(options).Serve(ctx)
}

// haveChild prints the socket of a checker that it starts, and goes on for ever.
func haveChild() error {
	child, err := NewChild(ChildOptions{Command: []string{os.Args[0], "checker"}, Stderr: os.Stderr})
	if err != nil {
		return err
	}
	fmt.Fprintln(os.Stdout, child.Socket())
	return child.Start(context.Background())
}

func logTo(write func(line string)) logr.Logger {
	return funcr.New(func(_, args string) { write(args) }, funcr.Options{})
}

// output is what a process writes, which may go on while a test reads it.
type output struct {
	mutex   sync.Mutex
	content bytes.Buffer
}

func (o *output) Write(data []byte) (int, error) {
	o.mutex.Lock()
	defer o.mutex.Unlock()
	return o.content.Write(data)
}

func (o *output) String() string {
	o.mutex.Lock()
	defer o.mutex.Unlock()
	return o.content.String()
}

// startChild keeps a checker as a child process while the test runs. arguments are those of serveAlone.
func startChild(t *testing.T, arguments ...string) (*Client, *output) {
	t.Helper()
	return startLimitedChild(t, 0, arguments...)
}

func startLimitedChild(t *testing.T, memoryLimit int64, arguments ...string) (*Client, *output) {
	t.Helper()
	written := &output{}
	child, err := NewChild(ChildOptions{
		Command: append([]string{os.Args[0], "checker"}, arguments...), Stderr: written, MemoryLimit: memoryLimit,
		Log: logTo(func(line string) { fmt.Fprintln(written, line) }),
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- child.Start(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	client := NewClient(ClientOptions{Socket: child.Socket()})
	if err := client.awaitReturn(t.Context()); err != nil {
		t.Fatalf("%v, checker says %s", err, written)
	}
	return client, written
}

// startServer serves in this process while the test runs.
func startServer(t *testing.T, change func(*Server)) string {
	t.Helper()
	server := NewServer(ServerOptions{Socket: filepath.Join(t.TempDir(), "socket"), Log: logr.Discard()})
	if change != nil {
		change(server)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	if err := NewClient(ClientOptions{Socket: server.options.Socket}).awaitReturn(t.Context()); err != nil {
		t.Fatal(err)
	}
	return server.options.Socket
}

// eventually waits for a condition.
func eventually(t *testing.T, what string, condition func() bool) {
	t.Helper()
	ticker := time.NewTicker(10 * time.Millisecond)
	defer ticker.Stop()
	late := time.After(30 * time.Second)
	for !condition() {
		select {
		case <-ticker.C:
		case <-late:
			t.Fatalf("waited in vain: %s", what)
		}
	}
}

// The bodies of proxy_on_configure.
var (
	accepts = []byte{0x41, 1}
	refuses = []byte{0x41, 0}
	loops   = []byte{0x03, 0x40, 0x0c, 0, 0x0b, 0x00}
)

// plugin is a module with a body for proxy_on_configure and a function beside it, which nobody calls.
func plugin(configure, beside []byte) []byte {
	vector := func(items ...string) string {
		return string(binary.AppendUvarint(nil, uint64(len(items)))) + strings.Join(items, "")
	}
	text := func(value string) string { return string(binary.AppendUvarint(nil, uint64(len(value)))) + value }
	section := func(id byte, content string) string { return string(id) + text(content) }
	body := func(code []byte) string { return text("\x00" + string(code) + "\x0b") }
	export := func(name string, index byte) string { return text(name) + "\x00" + string(index) }
	return []byte("\x00asm\x01\x00\x00\x00" +
		section(1, vector("\x60\x00\x00", "\x60\x01\x7f\x01\x7f", "\x60\x02\x7f\x7f\x01\x7f")) +
		section(3, vector("\x00", "\x01", "\x02", "\x00")) +
		section(5, vector("\x00\x01")) +
		section(7, vector(export("proxy_abi_version_0_2_1", 0), export("malloc", 1), export("proxy_on_configure", 2))) +
		section(10, vector(body(nil), body([]byte{0x41, 0}), body(configure), body(beside))))
}

// heavy is a module that takes some eighty times its size in megabytes to load, whatever is to be done with it then.
func heavy(megabytes int) []byte {
	const dropOne = "\x41\x01\x1a"
	return plugin(accepts, []byte(strings.Repeat(dropOne, megabytes<<20/len(dropOne))))
}

func request(module []byte, configurations ...string) drystart.Request {
	request := drystart.Request{Module: module}
	for _, configuration := range configurations {
		request.Plugins = append(request.Plugins, drystart.Plugin{Configuration: configuration})
	}
	return request
}

var pidOf = regexp.MustCompile(`"pid"=(\d+)`)

// pid is the process that says so in what it writes.
func (o *output) pid(t *testing.T) int {
	t.Helper()
	found := pidOf.FindAllStringSubmatch(o.String(), -1)
	if len(found) == 0 {
		t.Fatalf("the checker says only %s", o)
	}
	pid, err := strconv.Atoi(found[len(found)-1][1])
	if err != nil {
		t.Fatal(err)
	}
	return pid
}
