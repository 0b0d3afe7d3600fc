// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

// output is what a process has printed so far.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// demoTimeout bounds the waiting for the demo's end.
const demoTimeout = 5 * time.Minute

// demo is the demo as it runs.
type demo struct {
	*exec.Cmd
	dir string
	out *output
}

// startDemo starts it with a folder of its own for all that it leaves.
func startDemo(ctx context.Context) demo {
	GinkgoHelper()
	binary := filepath.Join(GinkgoT().TempDir(), "demo")
	build := exec.CommandContext(ctx, "go", "build", "-o", binary, "./test/demo")
	build.Dir = world.Root
	text, err := build.CombinedOutput()
	Expect(err).NotTo(HaveOccurred(), string(text))
	d := demo{exec.Command(binary), GinkgoT().TempDir(), &output{}}
	d.Dir, d.Stdout, d.Stderr = world.Root, d.out, d.out
	d.Env = append(os.Environ(), "TMPDIR="+d.dir, "HELM="+world.Helm, "KEEP=")
	Expect(d.Start()).To(Succeed())
	DeferCleanup(func() { _ = d.Process.Kill() }) // where the spec failed before it ended
	return d
}

// leftovers are files of the demo, and processes that have to do with them.
func (d demo) leftovers() []string {
	GinkgoHelper()
	left, err := filepath.Glob(filepath.Join(d.dir, "wasmplugin-demo-*"))
	Expect(err).NotTo(HaveOccurred())
	processes, err := filepath.Glob("/proc/[0-9]*/cmdline")
	Expect(err).NotTo(HaveOccurred())
	for _, path := range processes {
		if line, err := os.ReadFile(path); err == nil && bytes.Contains(line, []byte(d.dir)) {
			left = append(left, strings.ReplaceAll(string(line), "\x00", " "))
		}
	}
	return left
}

// The demo is what a newcomer sees first.
var _ = Describe("The demo", func() {
	It("ends by itself, with every answer right", func(ctx SpecContext) {
		d := startDemo(ctx)
		Expect(d.Wait()).To(Succeed(), d.out.String)
		lines := strings.Split(strings.TrimSpace(d.out.String()), "\n")
		Expect(lines[len(lines)-1]).To(Equal("demo: 12 answers right, 0 wrong"))
		Expect(d.leftovers()).To(BeEmpty())
	}, SpecTimeout(demoTimeout))
})
