// SPDX-License-Identifier: Apache-2.0

package plugintest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

const (
	// startPatience is how long Envoy may take to compile the module and start the plugin.
	startPatience = 2 * time.Minute
	pollInterval  = 50 * time.Millisecond
)

// envoy is a proxy with one plugin.
type envoy struct {
	log *transcript
	// admin and address are where Envoy itself and its listener are reached.
	admin   string
	address string
	ended   chan struct{}
	stop    func()
}

// errRefused says that Envoy doesn't run the plugin.
var errRefused = errors.New("refused")

// findEnvoy is the path of the program.
func findEnvoy(name string) (string, error) {
	path, err := exec.LookPath(name)
	if err != nil {
		return "", fmt.Errorf("there is no Envoy %s that can be run: %w; install one, or give its path with --envoy=PATH", name, err)
	}
	return filepath.Abs(path)
}

// startEnvoy starts an Envoy and waits until it serves. Its error is errRefused where Envoy ends because of the plugin; the
// Envoy that comes with it has the log.
func (p *plugin) startEnvoy(ctx context.Context, program, dir, rules string, serverPort int) (*envoy, error) {
	bootstrap, err := json.Marshal(p.bootstrap(rules, serverPort))
	if err != nil {
		return nil, err
	}
	configPath, addressPath := filepath.Join(dir, "bootstrap.json"), filepath.Join(dir, "admin")
	if err := errors.Join(os.WriteFile(configPath, bootstrap, 0o600), os.RemoveAll(addressPath)); err != nil {
		return nil, fmt.Errorf("write Envoy's configuration: %w", err)
	}
	ctx, cancel := context.WithCancel(ctx)
	command := exec.CommandContext(ctx, program, //nolint:gosec // the user names it
		"--config-path", configPath, "--admin-address-path", addressPath, "--concurrency", "1", "--disable-hot-restart",
		"--log-level", "error", "--component-log-level", "wasm:info", "--log-format", logFormat)
	e := &envoy{log: &transcript{}, ended: make(chan struct{})}
	command.Stdout, command.Stderr = e.log, e.log
	command.WaitDelay = time.Second
	if err := command.Start(); err != nil {
		cancel()
		return nil, fmt.Errorf("start Envoy: %w", err)
	}
	go func() {
		_ = command.Wait() // its log says more
		close(e.ended)
	}()
	e.stop = func() { cancel(); <-e.ended }
	if err := e.await(ctx, addressPath); err != nil {
		e.stop()
		return e, err
	}
	return e, nil
}

// await waits for Envoy's listener.
func (e *envoy) await(ctx context.Context, addressPath string) error {
	ctx, cancel := context.WithTimeout(ctx, startPatience)
	defer cancel()
	ticker := time.NewTicker(pollInterval)
	defer ticker.Stop()
	for {
		select {
		case <-e.ended:
			if refusalOf(e.log.from(0)) != "" {
				return errRefused
			}
			return fmt.Errorf("the program for --envoy ends by itself; it says: %s", lastLines(e.log.from(0)))
		case <-ctx.Done():
			return fmt.Errorf("the program for --envoy does not get ready in %s; it says: %s", startPatience, lastLines(e.log.from(0)))
		case <-ticker.C:
			if e.ready(ctx, addressPath) {
				return nil
			}
		}
	}
}

// ready asks Envoy for the address of its listener.
func (e *envoy) ready(ctx context.Context, addressPath string) bool {
	admin, err := os.ReadFile(addressPath) //nolint:gosec // in a folder of our own
	if err != nil || len(admin) == 0 {
		return false
	}
	e.admin = "http://" + string(admin)
	if _, err := get(ctx, e.admin+"/ready"); err != nil {
		return false
	}
	content, err := get(ctx, e.admin+"/listeners?format=json")
	if err != nil {
		return false
	}
	var listeners struct {
		Statuses []struct {
			Address struct {
				Socket struct {
					Port int `json:"port_value"`
				} `json:"socket_address"`
			} `json:"local_address"`
		} `json:"listener_statuses"`
	}
	if json.Unmarshal(content, &listeners) != nil || len(listeners.Statuses) == 0 {
		return false
	}
	e.address = net.JoinHostPort("127.0.0.1", strconv.Itoa(listeners.Statuses[0].Address.Socket.Port))
	return true
}

// over says whether Envoy has ended. One that crashes writes its last words first.
func (e *envoy) over(ctx context.Context) bool {
	if _, err := get(ctx, e.admin+"/ready"); err == nil {
		return false
	}
	select {
	case <-e.ended:
		return true
	case <-time.After(time.Second):
		return false
	}
}

// settle waits until the request is over for the plugin, too: its last callbacks come after the answer.
func (e *envoy) settle(ctx context.Context) {
	for ctx.Err() == nil {
		stats, err := get(ctx, e.admin+"/stats?filter=^http."+listenerName+".downstream_rq_active$")
		if err != nil || strings.HasSuffix(strings.TrimSpace(string(stats)), ": 0") {
			return
		}
	}
}

func get(ctx context.Context, url string) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return nil, err
	}
	// Not the default one, which may go by way of a proxy of the environment.
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 5 * time.Second}
	response, err := client.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s answers %s", url, response.Status)
	}
	return io.ReadAll(io.LimitReader(response.Body, 1<<20))
}

// lastLines are the end of a log, as a part of a sentence.
func lastLines(log string) string {
	const most = 3
	lines := strings.Split(strings.TrimSpace(log), "\n")
	return strings.Join(lines[max(0, len(lines)-most):], " | ")
}
