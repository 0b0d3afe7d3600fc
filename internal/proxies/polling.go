// SPDX-License-Identifier: Apache-2.0

package proxies

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"time"

	"google.golang.org/protobuf/types/known/anypb"
	ctrl "sigs.k8s.io/controller-runtime"

	"github.com/solarmesh/wasmplugin-operator/internal/metrics"
)

// NeedLeaderElection says that only the replica that manages the cluster asks.
func (o *Observer) NeedLeaderElection() bool { return true }

// Start asks until the context ends.
func (o *Observer) Start(ctx context.Context) error {
	go o.countAll(ctx)
	ticker := time.NewTicker(lookAround)
	defer ticker.Stop()
	for {
		o.look(ctx)
		o.tell()
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}

// look finds the istiods, begins to ask new ones and leaves those that are gone.
func (o *Observer) look(ctx context.Context) {
	finding, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	found, err := o.Find(finding)
	o.mutex.Lock()
	defer o.mutex.Unlock()
	if err != nil {
		o.problem = fmt.Sprintf("istiod can't be found: %v", err)
		return
	}
	o.problem, o.looked = "", true
	for address, istiod := range o.istiods {
		if !slices.Contains(found, istiod.Istiod) {
			istiod.cancel()
			delete(o.istiods, address)
			for _, track := range o.tracks {
				track.Leave(address)
			}
		}
	}
	for _, one := range found {
		if o.istiods[one.Address] == nil {
			o.begin(ctx, one)
		}
	}
}

func (o *Observer) begin(ctx context.Context, one Istiod) {
	ctx, cancel := context.WithCancel(ctx)
	i := &istiod{Istiod: one, cancel: cancel, found: o.Now(), poke: make(chan struct{}, 1)}
	o.istiods[one.Address] = i
	go o.follow(ctx, i)
}

// follow asks one istiod, again and again.
func (o *Observer) follow(ctx context.Context, i *istiod) {
	var asker Asker
	var ask []string
	defer func() {
		if asker != nil {
			_ = asker.Close()
		}
	}()
	for ctx.Err() == nil {
		begun := o.Now()
		poll, err := o.poll(ctx, i, &asker, ask)
		ask = o.take(ctx, i, poll, err)
		o.tell()
		took := o.Now().Sub(begun)
		interval := sparse
		if err == nil && o.pending() {
			interval = dense
		}
		least := dense
		switch {
		case err != nil:
			least = max(least, 2*took) // it may be in need of a pause
		case poll.said.adsz+len(poll.said.syncz) > light:
			least = max(least, 10*took)
		}
		if wait(ctx, nil, least-took) {
			wait(ctx, i.poke, interval-max(least, took))
		}
	}
}

// wait waits, unless it is poked. It returns false when the context has ended.
func wait(ctx context.Context, poke <-chan struct{}, duration time.Duration) bool {
	timer := time.NewTimer(max(duration, 0))
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-poke:
	case <-timer.C:
	}
	return true
}

// poll asks what proxies there are, and then what some are sent.
func (o *Observer) poll(ctx context.Context, i *istiod, asker *Asker, ask []string) (*Poll, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if *asker == nil {
		dialed, err := o.Dial(i.Istiod)
		if err != nil {
			return nil, err
		}
		*asker = dialed
	}
	poll := &Poll{Istiod: i.Address, Revision: i.Revision, At: o.Now(), Sent: map[string]map[string]*anypb.Any{}, Unsaid: map[string]string{}}
	syncz, err := (*asker).Ask(ctx, "syncz")
	if err != nil {
		return nil, err
	}
	adsz, err := (*asker).Ask(ctx, "adsz")
	if err != nil {
		return nil, err
	}
	poll.said = said{string(syncz), len(adsz)}
	if poll.Proxies, err = DecodeProxies(adsz, syncz); err != nil {
		return nil, &Error{Istiod: i.Name, Reason: Garbage, Text: err.Error()}
	}
	connections := map[string]string{}
	for _, proxy := range poll.Proxies {
		connections[proxy.ID] = proxy.Connection
	}
	for _, proxy := range ask {
		if err := poll.ask(ctx, *asker, i.Name, proxy, connections[proxy]); err != nil {
			return nil, err
		}
	}
	return poll, nil
}

// ask asks what a proxy is sent, by its connection: istiod takes the first one that has these words in its id.
func (p *Poll) ask(ctx context.Context, asker Asker, istiod, proxy, connection string) error {
	dump, err := asker.Ask(ctx, "config_dump?types=ecds&proxyID="+url.QueryEscape(connection))
	if status, ok := errors.AsType[*StatusError](err); ok {
		if status.Code == http.StatusInternalServerError {
			p.Unsaid[proxy] = fmt.Sprintf(unsayable, istiod, proxy, status)
		}
		return nil // otherwise it has gone in the meantime
	}
	if err != nil {
		return err
	}
	if p.Sent[proxy], err = DecodeExtensions(dump); err != nil {
		return &Error{Istiod: istiod, Reason: Garbage, Text: err.Error()}
	}
	return nil
}

// unsayable is for a fault of istiod's (measured with 1.31): it writes the configuration of a WasmPlugin of its own that has no
// pluginConfig as an Any without a type (buildWasmConfig in pilot/pkg/model/extensions.go), which it can't print, nor any
// other one of that proxy.
const unsayable = "istiod %s can't say what it sends to proxy %s (%v), as where a WasmPlugin or TrafficExtension of Istio's there has no " +
	"pluginConfig: give each of them one, such as pluginConfig: {comment: none}"

func (o *Observer) failed(ctx context.Context, i *istiod, err error) {
	if i.problem != err.Error() && ctx.Err() == nil {
		ctrl.Log.WithName("proxies").Info("Can't read what proxies do", "istiod", i.Name, "problem", err.Error())
	}
	if i.problem == "" {
		i.failing = o.Now()
	}
	i.problem = err.Error()
}

// hurry bounds how long proxies that don't answer are asked for densely.
const hurry = 5 * time.Minute

// pending says whether proxies may yet answer soon.
func (o *Observer) pending() bool {
	o.mutex.Lock()
	defer o.mutex.Unlock()
	for _, track := range o.tracks {
		if track.pending(o.Now(), hurry) {
			return true
		}
	}
	return false
}

func resultOf(err error) string {
	var known *Error
	switch {
	case err == nil:
		return "ok"
	case errors.As(err, &known):
		return known.Reason.Label()
	default:
		return Unreachable.Label()
	}
}

// tell notifies of what is news, and counts.
func (o *Observer) tell() {
	for _, plugin := range o.news() {
		o.Notify(plugin)
	}
	o.mutex.Lock()
	defer o.mutex.Unlock()
	counts, trials := map[state]int{}, 0
	for key, track := range o.tracks {
		if key.Trial {
			trials++
			continue
		}
		for _, p := range track.proxies {
			state, _ := p.effective()
			counts[state]++
		}
	}
	metrics.PluginsOnTrial.Set(float64(trials))
	metrics.Proxies.WithLabelValues("programmed").Set(float64(counts[programmed]))
	metrics.Proxies.WithLabelValues("waiting").Set(float64(counts[waiting] + counts[unblocked] + counts[stuck]))
	metrics.Proxies.WithLabelValues("rejected").Set(float64(counts[rejected]))
	metrics.Proxies.WithLabelValues("blocked").Set(float64(counts[blocked]))
	up := 0
	for _, istiod := range o.istiods {
		if istiod.last != nil && istiod.problem == "" {
			up++
		}
	}
	metrics.Istiods.Set(float64(len(o.istiods)))
	metrics.IstiodUp.Set(float64(up))
}
