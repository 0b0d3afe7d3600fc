// SPDX-License-Identifier: Apache-2.0

package agreement

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/solarmesh/wasmplugin-operator/test/chain"
)

// logFormat is level, logger and text of a line.
const logFormat = "[%l][%n] %v"

// envoy is a proxy that takes its listeners from a file. Each case is one listener, alone in the proxy while it is tried.
type envoy struct {
	*chain.Process
	dir string
}

// startEnvoy starts a proxy that is killed with the test. Its sockets are in a folder with a short path, since a
// socket's path may have about 100 characters.
func startEnvoy(ctx context.Context, owner *testing.T, binary string) (*envoy, error) {
	dir, err := os.MkdirTemp("", "envoy")
	if err != nil {
		return nil, err
	}
	e := &envoy{dir: dir}
	owner.Cleanup(func() {
		if err := errors.Join(e.kill(), os.RemoveAll(dir)); err != nil {
			owner.Error(err)
		}
	})
	if err := errors.Join(e.write("bootstrap.json", e.bootstrap()), e.listen()); err != nil {
		return nil, err
	}
	e.Process, err = chain.Start(ctx, chain.Command{
		Name: "Envoy",
		Path: binary,
		Args: []string{
			"--config-path", e.path("bootstrap.json"), "--concurrency", "1", "--disable-hot-restart", "--drain-time-s", "1",
			"--log-level", "warning", "--component-log-level", "wasm:info", "--log-format", logFormat,
		},
		LogFile: e.path("envoy.log"),
		Ready:   func(ctx context.Context) error { _, err := get(ctx, e.path("admin"), "/ready"); return err },
	})
	return e, err
}

func (e *envoy) kill() error {
	if e.Process == nil {
		return nil
	}
	return e.Kill()
}

func (e *envoy) path(name string) string { return filepath.Join(e.dir, name) }

// object is one of JSON.
type object = map[string]any

func (e *envoy) bootstrap() object {
	return object{
		"node":  object{"id": nodeID, "cluster": "agreement"},
		"admin": object{"address": pipe(e.path("admin"))},
		"dynamic_resources": object{"lds_config": object{"path_config_source": object{
			"path": e.path("listeners.json"), "watched_directory": object{"path": e.dir},
		}}},
	}
}

func pipe(path string) object { return object{"pipe": object{"path": path}} }

// listen replaces the proxy's listeners. A file that is watched must be moved into its place.
func (e *envoy) listen(listeners ...object) error {
	resources := make([]object, len(listeners))
	for i, listener := range listeners {
		resources[i] = listener
		listener["@type"] = "type.googleapis.com/envoy.config.listener.v3.Listener"
	}
	if err := e.write("next.json", object{"resources": resources}); err != nil {
		return err
	}
	return os.Rename(e.path("next.json"), e.path("listeners.json"))
}

func (e *envoy) write(name string, content object) error {
	data, err := json.Marshal(content)
	if err != nil {
		return err
	}
	return os.WriteFile(e.path(name), data, 0o600)
}

// updates are how many times the proxy took its listeners, and how many times it refused them.
func (e *envoy) updates(ctx context.Context) (taken, refused int, err error) {
	answer, err := get(ctx, e.path("admin"), "/stats?format=json&filter=listener_manager.lds.update_(success|rejected)")
	if err != nil {
		return 0, 0, err
	}
	var stats struct {
		Stats []struct {
			Name  string
			Value int
		}
	}
	if err := json.Unmarshal([]byte(answer.body), &stats); err != nil {
		return 0, 0, err
	}
	for _, stat := range stats.Stats {
		if strings.HasSuffix(stat.Name, "success") {
			taken = stat.Value
		} else {
			refused = stat.Value
		}
	}
	return taken, refused, nil
}

type answer struct {
	status int
	body   string
}

// get asks a server on a Unix socket.
func get(ctx context.Context, socket, path string) (answer, error) {
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", socket)
	}
	client := http.Client{Transport: &http.Transport{DialContext: dial, DisableKeepAlives: true}, Timeout: 5 * time.Second}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://envoy"+path, http.NoBody)
	if err != nil {
		return answer{}, err
	}
	response, err := client.Do(request)
	if err != nil {
		return answer{}, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	return answer{response.StatusCode, string(body)}, err
}

// listener runs the plugin of a case before a route that answers by itself.
func (c agreementCase) listener(socket, module string) object {
	return object{
		"name":    c.vmID(),
		"address": pipe(socket),
		"filter_chains": []object{{"filters": []object{{
			"name": "envoy.filters.network.http_connection_manager",
			"typed_config": object{
				"@type":       "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
				"stat_prefix": "case",
				"http_filters": []object{
					{"name": pluginName, "typed_config": object{
						"@type":  "type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm",
						"config": c.plugin(module),
					}},
					{"name": "envoy.filters.http.router", "typed_config": object{
						"@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router",
					}},
				},
				"route_config": object{"virtual_hosts": []object{{
					"name": "all", "domains": []string{"*"},
					"routes": []object{{"match": object{"prefix": "/"}, "direct_response": object{"status": http.StatusOK}}},
				}}},
			},
		}}}},
	}
}

// plugin is Envoy's PluginConfig.
func (c agreementCase) plugin(module string) object {
	config := object{
		"name": pluginName, "root_id": rootID, "configuration": text(c.configuration),
		"vm_config": object{
			"vm_id": c.vmID(), "runtime": "envoy.wasm.runtime.v8", "configuration": text(c.vmConfiguration),
			"code":                  object{"local": object{"filename": module}},
			"environment_variables": object{"key_values": c.env},
		},
	}
	if len(c.capabilities) > 0 {
		allowed := object{}
		for _, capability := range c.capabilities {
			allowed[capability] = object{}
		}
		config["capability_restriction_config"] = object{"allowed_capabilities": allowed}
	}
	return config
}

func text(value string) object {
	return object{"@type": "type.googleapis.com/google.protobuf.StringValue", "value": value}
}

// found is what Envoy said to a case.
type found struct {
	end ending
	log string
	// status is that of the first request; none if the plugin was refused.
	status int
}

// ending is what became of the proxy's listener, or of the proxy.
type ending string

const (
	taken   ending = "taken"
	refused ending = "refused"
	crashed ending = "crashed"
	hanging ending = "hanging"
)

// try gives the proxy the listener of a case and waits for what becomes of it.
func (e *envoy) try(ctx context.Context, c agreementCase, module string) (found, error) {
	logged := len(e.Log())
	socket := e.path(c.vmID())
	end, err := e.await(ctx, c, func() error { return e.listen(c.listener(socket, module)) })
	f := found{end: end, log: e.Log()[logged:]}
	if err == nil && end == taken {
		f.status, err = e.firstRequest(ctx, socket, cmp.Or(c.path, "/"))
	}
	return f, err
}

// await waits for what becomes of a change of the listeners.
func (e *envoy) await(ctx context.Context, c agreementCase, change func() error) (end ending, err error) {
	takenBefore, refusedBefore, err := e.updates(ctx)
	if err != nil {
		return "", err
	}
	if err := change(); err != nil {
		return "", err
	}
	limited, cancel := context.WithTimeout(ctx, c.patience())
	defer cancel()
	err = e.Until(limited, func(ctx context.Context) error {
		takenNow, refusedNow, err := e.updates(ctx)
		switch {
		case err != nil:
			return err
		case refusedNow > refusedBefore:
			end = refused
		case takenNow > takenBefore:
			end = taken
		default:
			return errors.New("the listeners are not in force yet")
		}
		return nil
	})
	switch {
	case err == nil:
		return end, nil
	case limited.Err() == nil:
		return crashed, nil
	}
	return hanging, e.assertHangs(ctx)
}

// assertHangs returns an error if the proxy still answers.
func (e *envoy) assertHangs(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	if _, err := get(ctx, e.path("admin"), "/ready"); err == nil {
		return errors.New("Envoy answers, but says nothing of the listener")
	}
	return nil
}

// firstRequest waits for the listener: the proxy says that it took it before it opens it.
func (e *envoy) firstRequest(ctx context.Context, socket, path string) (status int, err error) {
	err = e.Until(ctx, func(ctx context.Context) error {
		answer, err := get(ctx, socket, path)
		status = answer.status
		return err
	})
	if err != nil {
		err = fmt.Errorf("the first request: %w", err)
	}
	return status, err
}
