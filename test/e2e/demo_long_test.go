// SPDX-License-Identifier: Apache-2.0

//go:build long

package e2e

import (
	"errors"
	"os/exec"
	"syscall"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

var _ = Describe("The demo, at length", func() {
	It("leaves nothing behind when it is interrupted", func(ctx SpecContext) {
		d := startDemo(ctx)
		Eventually(ctx, d.out.String).WithTimeout(2*patience).Should(ContainSubstring("Start the operator"), d.out.String)
		Expect(d.leftovers()).NotTo(BeEmpty())
		Expect(d.Process.Signal(syscall.SIGINT)).To(Succeed())
		var exit *exec.ExitError
		Expect(errors.As(d.Wait(), &exit)).To(BeTrue(), d.out.String)
		Expect(exit.ExitCode()).To(Equal(1))
		Expect(d.out.String()).To(ContainSubstring("demo: interrupted"))
		Expect(d.leftovers()).To(BeEmpty())
	}, SpecTimeout(demoTimeout))
})
