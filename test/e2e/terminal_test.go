// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/creack/pty"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

// terminal runs lines in a shell that has wasmctl and kubectl, as a user who has logged into the cluster and the registry,
// and remembers what a user sees.
type terminal struct {
	// dir is where the next line runs.
	dir string
	env []string
	// hidden are texts of this machine, and what stands for each in the recording.
	hidden   []string
	recorded strings.Builder
}

// newTerminal builds wasmctl. The kubeconfig's context has the namespace.
func newTerminal(ctx context.Context, namespace string) *terminal {
	GinkgoHelper()
	home := GinkgoT().TempDir()
	t := &terminal{dir: home}
	buildWasmctl(ctx, filepath.Join(home, "bin", "wasmctl"))
	kubeconfig, err := os.ReadFile(world.Cluster.Kubeconfig)
	Expect(err).NotTo(HaveOccurred())
	t.file("kubeconfig", kubeconfig)
	t.file("docker/config.json", dockerConfig())
	t.env = append(os.Environ(), "KUBECONFIG="+filepath.Join(home, "kubeconfig"), "DOCKER_CONFIG="+filepath.Join(home, "docker"),
		"PATH="+filepath.Join(home, "bin")+":"+world.Path(), "TERM=xterm-256color", "COSIGN_PASSWORD=")
	t.hide(home+"/", "")
	_, err = t.quiet(ctx, "kubectl config set-context --current --namespace "+namespace)
	Expect(err).NotTo(HaveOccurred())
	return t
}

// buildWasmctl makes the program as it is released.
func buildWasmctl(ctx context.Context, path string) {
	GinkgoHelper()
	out, err := exec.CommandContext(ctx, filepath.Join(world.Root, "hack", "build.sh"), path, "./cmd/wasmctl").CombinedOutput()
	Expect(err).NotTo(HaveOccurred(), string(out))
}

func (t *terminal) file(name string, content []byte) {
	GinkgoHelper()
	path := filepath.Join(t.dir, name)
	Expect(os.MkdirAll(filepath.Dir(path), 0o755)).To(Succeed())
	Expect(os.WriteFile(path, content, 0o600)).To(Succeed())
}

// in changes the folder of the next lines.
func (t *terminal) in(folder string) { t.dir = filepath.Join(t.dir, folder) }

// quiet runs a line that the recording doesn't show.
func (t *terminal) quiet(ctx context.Context, line string) (string, error) {
	cmd := exec.CommandContext(ctx, "/bin/sh", "-c", line)
	cmd.Dir, cmd.Env = t.dir, t.env
	out, err := cmd.CombinedOutput()
	if err != nil {
		return string(out), fmt.Errorf("%s: %w\n%s", line, err, out)
	}
	return string(out), nil
}

// run runs a line that must succeed.
func (t *terminal) run(ctx context.Context, line string) string {
	GinkgoHelper()
	return t.fails(ctx, line, 0)
}

// fails runs a line that must end with a code.
func (t *terminal) fails(ctx context.Context, line string, code int) string {
	GinkgoHelper()
	out, err := t.quiet(ctx, line)
	t.show(line, out)
	got := 0
	if ended, ok := errors.AsType[*exec.ExitError](err); ok {
		got = ended.ExitCode()
	} else {
		Expect(err).NotTo(HaveOccurred())
	}
	Expect(got).To(Equal(code), "%s:\n%s", line, out)
	return out
}

// choose runs a line with a menu on a pseudo-terminal, and presses keys when that is there.
func (t *terminal) choose(ctx context.Context, line, keys string) string {
	GinkgoHelper()
	cmd := exec.CommandContext(ctx, "/bin/sh", "-c", line)
	cmd.Dir, cmd.Env = t.dir, t.env
	screen, err := pty.StartWithSize(cmd, &pty.Winsize{Rows: 24, Cols: 100})
	Expect(err).NotTo(HaveOccurred())
	defer screen.Close()
	seen := &output{}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_, _ = io.Copy(seen, screen) // ends with an error when the program does
	}()
	Eventually(ctx, seen.String).WithTimeout(patience).Should(ContainSubstring("assemblyscript"))
	_, err = screen.WriteString(keys)
	Expect(err).NotTo(HaveOccurred())
	Expect(cmd.Wait()).To(Succeed(), seen.String())
	Eventually(ctx, ended).WithTimeout(patience).Should(BeClosed())
	text := plainText(seen.String())
	t.show(line, text)
	return text
}

// steering is what a program sends to move the cursor, to colour and to ask the terminal.
var steering = regexp.MustCompile(`\x1b(\[[0-9;?<>=$]*[a-zA-Z]|\][^\x07\x1b]*(\x07|\x1b\\)|[=>()][0-9AB]?|P[^\x1b]*\x1b\\)`)

// plainText are the words of a screen.
func plainText(screen string) string {
	var lines []string
	for line := range strings.SplitSeq(steering.ReplaceAllString(screen, ""), "\n") {
		line = strings.TrimRight(line, " \r\t")
		if line != "" && (len(lines) == 0 || lines[len(lines)-1] != line) {
			lines = append(lines, line)
		}
	}
	return strings.Join(lines, "\n") + "\n"
}

// temporary are folders with names that differ each time.
var temporary = regexp.MustCompile(`/[^ ]*wasmctl-build-[0-9]+/`)

func (t *terminal) show(line, out string) {
	fmt.Fprintf(&t.recorded, "$ %s\n%s\n", line, out)
}

// record writes what was shown, without this machine's addresses.
func (t *terminal) record() {
	GinkgoHelper()
	if path := os.Getenv("JOURNEY_RECORDING"); path != "" {
		text := temporary.ReplaceAllString(strings.NewReplacer(t.hidden...).Replace(t.recorded.String()), "")
		Expect(os.WriteFile(path, []byte(text), 0o600)).To(Succeed())
	}
}
