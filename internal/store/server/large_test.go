// SPDX-License-Identifier: Apache-2.0

package server

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	runtimemetrics "runtime/metrics"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/solarmesh/wasmplugin-operator/internal/store"
)

const mib = 1 << 20

// large is a plugin of a size, which is never whole in memory.
func large(size uint32) io.Reader {
	head := plugin("")
	head = head[:len(head)-len(section(0, []byte{1, 'x'}))]
	custom := append(binary.AppendUvarint([]byte{0}, uint64(size)), 1, 'x')
	return io.MultiReader(bytes.NewReader(append(head, custom...)), io.LimitReader(zeros{}, int64(size)-2))
}

type zeros struct{}

func (zeros) Read(buffer []byte) (int, error) {
	clear(buffer)
	return len(buffer), nil
}

// peak is by how much the heap grew at most while something was done.
func peak(do func()) uint64 {
	runtime.GC()
	sample := []runtimemetrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	heap := func() uint64 {
		runtimemetrics.Read(sample)
		return sample[0].Value.Uint64()
	}
	before := heap()
	highest := before
	done := make(chan struct{})
	go func() {
		defer close(done)
		do()
	}()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-done:
			return max(highest, heap(), before) - before
		case <-tick.C:
			highest = max(highest, heap())
		}
	}
}

// Whatever the size of a module, a store needs a few buffers for it.
func TestLargeModulesTakeNoMemory(t *testing.T) {
	const size, bound = 200 * mib, 24 * mib
	hash := sha256.New()
	length, err := io.Copy(hash, large(size))
	if err != nil {
		t.Fatal(err)
	}
	ref := store.Reference{Digest: digestPrefix + hex.EncodeToString(hash.Sum(nil))}
	one := start(t, nil)
	known := &peersOf{}
	two := start(t, func(o *Options) { o.Peers = known.find })
	two.awaitReady(t)
	known.are(one)
	tenants := start(t, durable)
	client := trusting(t, authority(t).file)
	for _, step := range []struct {
		name string
		do   func() error
	}{
		{"the manager's upload", func() error {
			return send(t.Context(), client, one.uploads, modulePath(ref.Digest), large(size))
		}},
		{"a proxy's download, by way of a peer", func() error {
			return download(t.Context(), two.modules+ref.Path(), length)
		}},
		{"a tenant's upload", func() error {
			return send(t.Context(), client, tenants.uploads, "/namespaces/shop/modules/auth/tags/1", large(size))
		}},
	} {
		var failed error
		grown := peak(func() { failed = step.do() })
		t.Logf("%s of %d MiB took %d KiB", step.name, length/mib, grown>>10)
		if failed != nil {
			t.Errorf("%s: %v", step.name, failed)
		}
		if grown > bound {
			t.Errorf("%s took %d MiB of memory", step.name, grown/mib)
		}
	}
}

func download(ctx context.Context, url string, length int64) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	response, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if got, err := io.Copy(io.Discard, response.Body); err != nil || got != length {
		return fmt.Errorf("%d bytes, %w", got, err)
	}
	return nil
}

// childFolder is the environment variable that makes this test a store of its own, to be killed.
const childFolder = "STORE_TEST_FOLDER"

// child is that store.
func child(folder string) error {
	served, err := New(context.Background(), Options{
		Bucket: "file://" + folder, Access: anybody{}, Registry: prometheus.NewRegistry(), Log: logr.Discard(),
	})
	if err != nil {
		return err
	}
	made, err := authorityOnce()
	if err != nil {
		return err
	}
	modules, err := loopback()
	if err != nil {
		return err
	}
	uploads, err := loopback()
	if err != nil {
		return err
	}
	fmt.Fprintln(os.Stdout, uploads.Addr(), made.file)
	return served.Serve(context.Background(), Listeners{Modules: modules, Uploads: uploads, Certificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
		return &made.certificate, nil
	}})
}

// A store that is killed in the middle of an upload leaves nothing under the module's name, and one that is killed at its
// end the whole module.
func TestKilledWhileItWrites(t *testing.T) {
	folder := t.TempDir()
	content := plugin(strings.Repeat("x", 4*mib))
	key := moduleKey(store.Reference{Digest: digestOf(content)})
	for _, sent := range []int{1, mib, 3 * mib, len(content) - 1} {
		process, client, address := startChild(t, folder)
		reader, writer := io.Pipe()
		ended := make(chan error, 1)
		go func() { ended <- send(t.Context(), client, address, modulePath(digestOf(content)), reader) }()
		if _, err := writer.Write(content[:sent]); err != nil {
			t.Fatal(err)
		}
		await(t, "a file that is being written", func() bool {
			found, err := filepath.Glob(filepath.Join(folder, key+".*"+unfinished))
			return err == nil && len(found) > 0
		})
		if err := process.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		_ = process.Wait()
		writer.CloseWithError(errors.New("the store was killed"))
		if err := <-ended; err == nil {
			t.Fatal("the upload of a part was taken")
		}
		if _, err := os.Stat(filepath.Join(folder, key)); !os.IsNotExist(err) {
			t.Fatalf("after %d of %d bytes something stands under the name: %v", sent, len(content), err)
		}
		if err := os.RemoveAll(filepath.Join(folder, modulesPrefix)); err != nil {
			t.Fatal(err)
		}
	}
	process, client, address := startChild(t, folder)
	if err := send(t.Context(), client, address, modulePath(digestOf(content)), bytes.NewReader(content)); err != nil {
		t.Fatal(err)
	}
	if err := process.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = process.Wait()
	r := start(t, func(o *Options) { o.Bucket = "file://" + folder })
	if status := r.serves(t, content, ""); status != http.StatusOK {
		t.Errorf("what was taken is gone: status %d", status)
	}
}

func startChild(t *testing.T, folder string) (process *exec.Cmd, client *http.Transport, address string) {
	t.Helper()
	process = exec.CommandContext(t.Context(), os.Args[0])
	process.Env = append(os.Environ(), childFolder+"="+folder)
	output, err := process.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := process.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(output).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	address, file, _ := strings.Cut(strings.TrimSpace(line), " ")
	t.Cleanup(func() { os.RemoveAll(filepath.Dir(file)) })
	return process, trusting(t, file), address
}

func modulePath(digest string) string {
	return "/modules/sha256/" + hexOf(digest)
}

// trusting is a client for bodies that the store's own doesn't send.
func trusting(t *testing.T, file string) *http.Transport {
	t.Helper()
	content, err := os.ReadFile(file)
	roots := x509.NewCertPool()
	if err != nil || !roots.AppendCertsFromPEM(content) {
		t.Fatal(err)
	}
	client := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}
	t.Cleanup(client.CloseIdleConnections)
	return client
}

func send(ctx context.Context, client *http.Transport, address, path string, body io.Reader) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodPut, "https://"+address+path, body)
	if err != nil {
		return err
	}
	request.Header.Set("Authorization", "Bearer "+secret)
	response, err := client.RoundTrip(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode >= 300 {
		return fmt.Errorf("status %d", response.StatusCode)
	}
	return nil
}
