// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/solarmesh/wasmplugin-operator/test/chain"
	"github.com/solarmesh/wasmplugin-operator/test/story"
)

// The paths that are asked for: the sample's rules protect the first one.
const (
	protected = "/productpage"
	other     = "/anything-else"
)

// prepare is quick, but for the first time.
func (d *demo) prepare() (err error) {
	d.step("Build the operator and two plugins, and find Kubernetes, Istio, Envoy and helm")
	_, err = exec.LookPath("curl")
	d.curl = err == nil
	d.world, err = story.New(d.ctx, d.dir, os.Stdout)
	if err != nil {
		return err
	}
	d.world.ObserveProxies = true
	return d.ctx.Err()
}

func (d *demo) startMesh() error {
	d.step("Start the Kubernetes API, istiod, and a web server with the two plugins")
	if err := d.world.StartMesh(d.ctx); err != nil {
		return err
	}
	say("Istio %s", d.world.Bin.IstioRelease)
	if err := d.shell("kubectl version"); err != nil {
		return err
	}
	say("%s\n%s", d.world.Modules.URL(story.BasicAuthPath), d.world.Modules.URL(story.HelloWorldPath))
	return nil
}

func (d *demo) startGateway() error {
	d.step("Start a gateway: Istio's agent with Envoy, labelled istio=ingressgateway")
	ports, err := chain.FreePorts(1)
	if err != nil {
		return err
	}
	d.gateway = story.Gateway{
		Namespace: chain.IstioNamespace, Name: "istio-ingressgateway", Label: "ingressgateway", Ports: ports,
	}
	proxy, err := d.world.StartGateway(d.ctx, d.gateway)
	if err != nil {
		return err
	}
	d.adminURL, d.gatewayReady = proxy.AdminURL, time.Now()
	say("It lets everything pass. (The headers content-length, content-type, date and server are left out.)")
	return d.ask(question{"200, nothing asks for a password", protected, "", expect(chain.Status(200), chain.Body(story.Served))})
}

func (d *demo) installChart() error {
	d.step("Install the operator's chart")
	say("$ %s", d.world.HelmInstall())
	out, err := d.world.InstallChart(d.ctx)
	if err != nil {
		return err
	}
	say("%s", out)
	return nil
}

func (d *demo) startOperator() error {
	d.step("Start the operator")
	say("There are no nodes here, so the chart's Deployments start no pods. The demo runs their containers itself: the manager,\n" +
		"the checker, which starts modules on trial, and two replicas of the store, from which proxies fetch them. They have\n" +
		"the Deployments' arguments, on free ports, and tokens of their ServiceAccounts: they may do what the chart allows.")
	if err := d.world.StartOperator(d.ctx); err != nil {
		return err
	}
	say("$ %s \\\n    %s", d.world.OperatorBinary, strings.Join(d.world.OperatorArgs, " \\\n    "))
	return nil
}

// fromHere is the command that applies a sample with its module from this machine.
func (d *demo) fromHere(sample, path string) string {
	return fmt.Sprintf("kubectl patch --local -f config/samples/%s --type merge -o yaml \\\n"+
		"    -p '{\"spec\":{\"url\":\"%s\"}}' | kubectl apply -f -", sample, d.world.Modules.URL(path))
}
