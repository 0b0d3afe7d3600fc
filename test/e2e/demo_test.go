// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
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

// The demo is what a newcomer sees first.
var _ = Describe("The demo", func() {
	var (
		dir  string
		demo *exec.Cmd
		out  *output
	)
	BeforeEach(func(ctx SpecContext) {
		dir = GinkgoT().TempDir()
		binary := filepath.Join(GinkgoT().TempDir(), "demo")
		build := exec.CommandContext(ctx, "go", "build", "-o", binary, "./test/demo")
		build.Dir = world.Root
		text, err := build.CombinedOutput()
		Expect(err).NotTo(HaveOccurred(), string(text))
		// Not bound to the context of this node, which ends with it.
		demo = exec.Command(binary)
		out = &output{}
		demo.Dir, demo.Stdout, demo.Stderr = world.Root, out, out
		demo.Env = append(os.Environ(), "TMPDIR="+dir, "HELM="+world.Helm, "KEEP=")
		Expect(demo.Start()).To(Succeed())
		DeferCleanup(func() { _ = demo.Process.Kill() }) // where the spec failed before it ended
	})

	// leftovers are files of the demo, and processes that have to do with them.
	leftovers := func() []string {
		GinkgoHelper()
		left, err := filepath.Glob(filepath.Join(dir, "wasmplugin-demo-*"))
		Expect(err).NotTo(HaveOccurred())
		processes, err := filepath.Glob("/proc/[0-9]*/cmdline")
		Expect(err).NotTo(HaveOccurred())
		for _, path := range processes {
			if line, err := os.ReadFile(path); err == nil && bytes.Contains(line, []byte(dir)) {
				left = append(left, strings.ReplaceAll(string(line), "\x00", " "))
			}
		}
		return left
	}

	lastLine := func() string {
		lines := strings.Split(strings.TrimSpace(out.String()), "\n")
		return lines[len(lines)-1]
	}

	// Bounds the waiting for its end.
	const longest = 5 * time.Minute

	It("ends by itself, with every answer right", func(SpecContext) {
		Expect(demo.Wait()).To(Succeed(), out.String)
		Expect(lastLine()).To(Equal("demo: 12 answers right, 0 wrong"))
		Expect(leftovers()).To(BeEmpty())
	}, SpecTimeout(longest))

	It("leaves nothing behind when it is interrupted", func(ctx SpecContext) {
		Eventually(ctx, out.String).WithTimeout(2*patience).Should(ContainSubstring("Start the operator"), out.String)
		Expect(leftovers()).NotTo(BeEmpty())
		Expect(demo.Process.Signal(syscall.SIGINT)).To(Succeed())
		var exit *exec.ExitError
		Expect(errors.As(demo.Wait(), &exit)).To(BeTrue(), out.String)
		Expect(exit.ExitCode()).To(Equal(1))
		Expect(out.String()).To(ContainSubstring("demo: interrupted"))
		Expect(leftovers()).To(BeEmpty())
	}, SpecTimeout(longest))
})
