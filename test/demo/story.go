// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/solarmesh/wasmplugin-operator/test/chain"
	"github.com/solarmesh/wasmplugin-operator/test/story"
)

// patience is how long a change may take to come into force.
const patience = time.Minute

func (d *demo) applySamples() error {
	d.step("Apply two samples, with the plugins' addresses on this machine")
	if err := d.shell("cat config/samples/basic-auth.yaml"); err != nil {
		return err
	}
	if err := d.applyBoth(); err != nil {
		return err
	}
	for _, line := range []string{
		"kubectl wait --for=condition=Ready wasmp --all -A --timeout=120s",
		"kubectl get wasmp -A",
		"kubectl get wasmp basic-auth -n " + chain.IstioNamespace + " -o yaml | sed -n '/^  module:/,/source:/p'",
		"kubectl get envoyfilters -A -L wasm.solarmesh.io/plugin,wasm.solarmesh.io/role",
		"kubectl get envoyfilter basic-auth-config -n " + chain.IstioNamespace + " -o yaml | grep -E ' (uri|sha256): '",
	} {
		if err := d.shell(line); err != nil {
			return err
		}
	}
	return nil
}

func (d *demo) applyBoth() error {
	if err := d.shell(d.fromHere("basic-auth.yaml", story.BasicAuthPath)); err != nil {
		return err
	}
	return d.shell(d.fromHere("hello-world.yaml", story.HelloWorldPath))
}

func (d *demo) askGateway() error {
	d.step("Ask the gateway")
	refused := expect(chain.Status(401), chain.Header("www-authenticate", `Basic realm="istio"`))
	passed := expect(chain.Status(200), chain.Header("hello", "world"))
	return d.inForce([]question{
		{"401 without credentials", protected, "", refused},
		{"200 with ok:test, and the header of hello-world", protected, "ok:test", passed},
		{"200 with admin3:admin3, which stands in base64 in the rules", protected, "admin3:admin3", passed},
		{"401 with a wrong password", protected, "ok:guess", refused},
		{"200 on another path without credentials", other, "", passed},
	})
}

func (d *demo) changeRules() error {
	d.step("Change the rules: another user instead of those two")
	err := d.shell("kubectl patch wasmp basic-auth -n " + chain.IstioNamespace + " --type merge -p \\\n" +
		`    '{"spec":{"rules":{"basic_auth_rules":[{"prefix":"/productpage","request_methods":["GET","POST"],"credentials":["new:secret"]}]}}}'`)
	if err != nil {
		return err
	}
	err = d.inForce([]question{
		{"200 with new:secret", protected, "new:secret", expect(chain.Status(200))},
		{"401 with ok:test", protected, "ok:test", expect(chain.Status(401))},
		{"401 without credentials", protected, "", expect(chain.Status(401))},
	})
	if err != nil {
		return err
	}
	return d.notRestarted()
}

func (d *demo) deletePlugins() error {
	d.step("Delete both plugins")
	if err := d.shell("kubectl delete wasmp basic-auth hello-world -n " + chain.IstioNamespace); err != nil {
		return err
	}
	say("Kubernetes' garbage collector removes the EnvoyFilters that they own:")
	if err := d.shell("kubectl wait --for=delete envoyfilters --all -A --timeout=120s"); err != nil {
		return err
	}
	line := "kubectl get envoyfilters -A"
	say("$ %s", line)
	out, err := d.world.Shell(d.ctx, line)
	if err != nil {
		return err
	}
	say("%s", out)
	if out != "No resources found\n" {
		err = errors.New("there are still EnvoyFilters")
	}
	d.verdict("no EnvoyFilter is left", err)
	return d.inForce([]question{
		{"200 without credentials, and no header of hello-world", protected, "", expect(chain.Status(200), chain.Header("hello", ""))},
	})
}

func expect(checks ...chain.Expect) []chain.Expect { return checks }

// inForce waits, without a word, until a change has reached the proxy, and then asks. If it does not come, the answers
// show what the proxy does instead.
func (d *demo) inForce(questions []question) error {
	ctx, cancel := context.WithTimeout(d.ctx, patience)
	defer cancel()
	start, outcome := time.Now(), "in force"
	for _, q := range questions {
		if _, err := d.probe(q).Until(ctx, q.expect...); err != nil {
			outcome = "not in force"
		}
	}
	say("(%s %.1f s later)", outcome, time.Since(start).Seconds())
	for _, q := range questions {
		if err := d.ask(q); err != nil {
			return err
		}
	}
	return nil
}

// notRestarted asks Envoy how long it runs.
func (d *demo) notRestarted() error {
	fmt.Println()
	answer, err := d.request(chain.Probe{URL: d.adminURL + "/server_info"})
	var info struct {
		State  string
		Uptime string `json:"uptime_current_epoch"`
	}
	if err == nil {
		err = json.Unmarshal([]byte(answer.Body), &info)
	}
	if err != nil {
		return err
	}
	uptime, err := time.ParseDuration(info.Uptime)
	if err == nil && uptime < time.Since(d.gatewayReady)-time.Second {
		err = fmt.Errorf("it was started %s ago", info.Uptime)
	}
	say("state %s, up for %s", info.State, info.Uptime)
	d.verdict("the Envoy that was started in step 3 still runs", err)
	return nil
}

func (d *demo) leaveRunning() error {
	d.step("Apply the samples again, and leave everything running (KEEP=1)")
	if err := d.applyBoth(); err != nil {
		return err
	}
	fmt.Printf(tryThis, d.world.Cluster.Kubeconfig, filepath.Dir(d.world.Bin.Kubectl), chain.IstioNamespace,
		d.gateway.URL(protected), d.adminURL, d.world.Istiod.URL, d.world.Operator.LogFile())
	<-d.ctx.Done()
	return d.ctx.Err()
}

const tryThis = `
Try, in another terminal:

    export KUBECONFIG=%[1]s
    export PATH=%[2]s:$PATH

    kubectl get wasmp -A
    kubectl describe wasmp basic-auth -n %[3]s
    kubectl get envoyfilter basic-auth-config -n %[3]s -o yaml
    curl -i %[4]s
    curl -i -u ok:test %[4]s
    kubectl edit wasmp basic-auth -n %[3]s

    curl %[5]s/config_dump      # what Envoy has
    curl %[6]s/debug/syncz      # what istiod knows of it
    less %[7]s      # what the operator says

Ctrl-C ends it all.
`
