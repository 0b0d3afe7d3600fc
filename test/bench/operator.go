// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/solarmesh/wasmplugin-operator/test/chain"
)

// immediate are the flags that all figures are of, unless one says otherwise: changes come into force at once, and proxies
// are left to fetch modules.
var immediate = []string{"--resolve-modules=false", "--observe-proxies=false"}

// operator is the operator's binary as a process, behind a meter.
type operator struct {
	*chain.Process
	*meter
	metrics, pprof string
	// started is when its last start began.
	started time.Time
}

// startOperator starts one with further flags, of which the last of a name counts.
func (w *world) startOperator(ctx context.Context, name string, m *meter, flags ...string) (*operator, error) {
	ports, err := chain.FreePorts(3)
	if err != nil {
		return nil, err
	}
	var addresses []string
	for _, port := range ports {
		addresses = append(addresses, fmt.Sprintf("127.0.0.1:%d", port))
	}
	kubeconfig := filepath.Join(w.dir, name+".kubeconfig")
	if err := m.WriteKubeconfig(kubeconfig); err != nil {
		return nil, err
	}
	o := &operator{meter: m, metrics: "http://" + addresses[1] + "/metrics", pprof: "http://" + addresses[2] + "/debug/pprof", started: time.Now()}
	args := append([]string{
		"--kubeconfig=" + kubeconfig, "--health-probe-bind-address=" + addresses[0],
		"--metrics-bind-address=" + addresses[1], "--metrics-secure=false", "--pprof-bind-address=" + addresses[2],
	}, immediate...)
	o.Process, err = chain.Start(ctx, chain.Command{
		Name: name, Path: w.binary, Args: append(args, flags...), LogFile: filepath.Join(w.dir, name+".log"),
	})
	return o, err
}

// ended waits until none of its requests can come any more.
func (o *operator) ended(ctx context.Context, err error) error {
	return errors.Join(err, chain.Until(ctx, func(context.Context) error {
		if open := o.Connections(); open > 0 {
			return fmt.Errorf("%d connections are open", open)
		}
		return nil
	}))
}

// Stop ends it as Kubernetes does.
func (o *operator) Stop(ctx context.Context) error { return o.ended(ctx, o.Process.Stop()) }

// Kill ends it without notice.
func (o *operator) Kill(ctx context.Context) error { return o.ended(ctx, o.Process.Kill()) }

// restart starts a stopped one again.
func (o *operator) restart(ctx context.Context) error {
	o.started = time.Now()
	return o.Process.Start(ctx)
}

// get reads from its own servers.
func (o *operator) get(ctx context.Context, url string) ([]byte, error) {
	call, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	call.Header.Set("Accept-Encoding", "identity") // it shall not compress for us
	answer, err := http.DefaultClient.Do(call)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err == nil && answer.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", url, answer.Status)
	}
	return body, err
}

// metric is the sum of a metric of the plugins' controller.
func (o *operator) metric(ctx context.Context, name string) (float64, error) {
	body, err := o.get(ctx, o.metrics)
	if err != nil {
		return 0, err
	}
	total := 0.0
	for lines := bufio.NewScanner(strings.NewReader(string(body))); lines.Scan(); {
		key, value, _ := strings.Cut(lines.Text(), " ")
		bare, labels, _ := strings.Cut(key, "{")
		if bare != name || (labels != "" && !strings.Contains(labels, `="wasmplugin"`)) {
			continue
		}
		number, err := strconv.ParseFloat(value, 64)
		if err != nil {
			return 0, err
		}
		total += number
	}
	return total, nil
}

const (
	// still is how long an operator must do nothing to be taken for idle.
	still = 400 * time.Millisecond
	// glance is between two looks at whether it does something.
	glance = 5 * time.Millisecond
)

// idle waits until it asks nothing and needs no CPU for a while, and returns since when. It isn't asked itself: to tell its
// metrics is more work than most that is measured here.
func (o *operator) idle(ctx context.Context) (time.Time, error) {
	ticker := time.NewTicker(glance)
	defer ticker.Stop()
	last, since := int64(-1), time.Now()
	for {
		used, err := cpuOf(o.PID())
		if err != nil {
			return since, fmt.Errorf("the operator has ended: %w\n%s", err, o.Log())
		}
		if now := o.count() + int64(used/tick); now != last {
			last, since = now, time.Now()
		}
		if time.Since(since) >= still {
			return since, nil
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return since, fmt.Errorf("the operator is busy: %w", context.Cause(ctx))
		}
	}
}

// looked waits until it is idle and has looked at plugins so often since its start, and returns since when.
func (o *operator) looked(ctx context.Context, times int) (time.Time, error) {
	var since time.Time
	err := o.Until(ctx, func(ctx context.Context) error {
		var err error
		if since, err = o.idle(ctx); err != nil {
			return err
		}
		total, err := o.metric(ctx, "controller_runtime_reconcile_total")
		if err == nil && int(total) < times {
			err = fmt.Errorf("it has looked %.0f of %d times", total, times)
		}
		return err
	})
	return since, err
}

// heap is what it holds in memory once its garbage is collected, in bytes.
func (o *operator) heap(ctx context.Context) (int64, error) {
	var body []byte
	// What a pool holds goes with the second collection.
	for range 3 {
		var err error
		if body, err = o.get(ctx, o.pprof+"/heap?gc=1&debug=1"); err != nil {
			return 0, err
		}
	}
	for line := range strings.Lines(string(body)) {
		if value, ok := strings.CutPrefix(line, "# HeapAlloc = "); ok {
			return strconv.ParseInt(strings.TrimSpace(value), 10, 64)
		}
	}
	return 0, errors.New("its heap profile doesn't tell HeapAlloc")
}

// profile saves one of its profiles.
func (o *operator) profile(ctx context.Context, query, file string) error {
	body, err := o.get(ctx, o.pprof+"/"+query)
	if err != nil {
		return err
	}
	return os.WriteFile(file, body, 0o600)
}
