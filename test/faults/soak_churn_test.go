// SPDX-License-Identifier: Apache-2.0

//go:build long

package faults

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	wasmv1alpha1 "github.com/solarmesh/wasmplugin-operator/api/v1alpha1"
	"github.com/solarmesh/wasmplugin-operator/test/chain"
	"github.com/solarmesh/wasmplugin-operator/test/story"
)

const (
	users = 10
	// pause is how long each of them takes between two changes: together 20 in a second.
	pause = users * time.Second / 20
	// many plugins stand in each namespace but the one with proxies, which has few.
	many, few = 40, 6
)

// newCrowd is a scene of an operator that comes later, without a history: that of half an hour would fill the memory.
func newCrowd(ctx context.Context) *scene {
	GinkgoHelper()
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "soak-"}}
	Expect(api.Create(ctx, namespace)).To(Succeed())
	s := &scene{options: rendering, recorder: &recorder{namespace: namespace.Name, stop: func() {}}, mode: wasmv1alpha1.ActivationImmediate}
	s.options.ObserveProxies = true
	DeferCleanup(s.leave)
	return s
}

// behind has the plugins of a scene come into force by what proxies say.
func (s *scene) behind(ctx context.Context) {
	GinkgoHelper()
	s.mode, s.mesh = wasmv1alpha1.ActivationSafe, &mesh{}
	ports, err := chain.FreePorts(1)
	Expect(err).NotTo(HaveOccurred())
	gateway := story.Gateway{Namespace: s.namespace, Name: "gateway", Label: s.namespace, Ports: ports}
	Expect(chain.Apply(ctx, cluster.Config, gateway.YAML())).To(Succeed())
	s.join(ctx, "first", nil)
	s.join(ctx, "second", nil)
}

// churn are users who change plugins all the time.
type churn struct {
	slots        []*slot
	made, failed atomic.Int64
}

// slot is a plugin that is there, or not. One user works on it.
type slot struct {
	scene   *scene
	name    string
	present bool
}

func newChurn(scenes []*scene) *churn {
	c := &churn{}
	for i, s := range scenes {
		size := many
		if i == len(scenes)-1 {
			size = few
		}
		for j := range size {
			c.slots = append(c.slots, &slot{scene: s, name: fmt.Sprintf("plugin-%02d", j)})
		}
	}
	return c
}

// fill makes every plugin.
func (c *churn) fill(ctx context.Context) {
	GinkgoHelper()
	for _, slot := range c.slots {
		Expect(slot.create(ctx)).To(Succeed())
	}
}

// start has the users begin. What it returns has them stop.
func (c *churn) start(ctx context.Context) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	var group sync.WaitGroup
	for user := range users {
		random := rand.New(rand.NewPCG(seed, uint64(user)))
		group.Go(func() {
			for ticker := time.NewTicker(pause); ; {
				select {
				case <-ctx.Done():
					return
				case <-ticker.C:
					c.change(ctx, c.slots[user+users*random.IntN((len(c.slots)-user+users-1)/users)], random)
				}
			}
		})
	}
	return func() {
		cancel()
		group.Wait()
	}
}

func (c *churn) change(ctx context.Context, slot *slot, random *rand.Rand) {
	switch err := slot.change(ctx, random); {
	case err == nil:
		c.made.Add(1)
	case ctx.Err() == nil:
		c.failed.Add(1) // whoever is refused, or doesn't know, comes again
	}
}

// change does something to a plugin, mostly to its rules.
func (s *slot) change(ctx context.Context, random *rand.Rand) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	if !s.present {
		return s.create(ctx)
	}
	text := strings.Repeat("x", random.IntN(2000))
	switch n := random.IntN(100); {
	case n < 45:
		return s.patch(ctx, `{"spec": {"rules": {"text": "%d %s"}}}`, random.Uint64(), text)
	case n < 60:
		return s.patch(ctx, `{"metadata": {"annotations": {"example.com/touched": "%d"}}}`, random.Uint64())
	case n < 70:
		return s.patch(ctx, `{"spec": {"overrides": [{"match": {"hosts": ["h%d.example.com"]}, "rules": {"text": %q}}]}}`, random.IntN(5), text)
	case n < 75:
		return s.patch(ctx, `{"spec": {"overrides": null}}`)
	case n < 80:
		return s.patch(ctx, `{"spec": {"priority": %d}}`, random.IntN(100))
	case n < 92:
		return s.remove(ctx)
	default:
		if err := s.remove(ctx); err != nil {
			return err
		}
		return s.create(ctx)
	}
}

func (s *slot) create(ctx context.Context) error {
	err := api.Create(ctx, s.scene.newPlugin(s.name))
	s.present = s.present || err == nil || apierrors.IsAlreadyExists(err)
	return err
}

func (s *slot) patch(ctx context.Context, format string, values ...any) error {
	return s.known(api.Patch(ctx, s.plugin(), client.RawPatch(types.MergePatchType, fmt.Appendf(nil, format, values...))))
}

func (s *slot) remove(ctx context.Context) error {
	err := s.known(api.Delete(ctx, s.plugin()))
	s.present = s.present && err != nil
	return err
}

// known notes what an answer says of whether the plugin is there.
func (s *slot) known(err error) error {
	s.present = s.present && !apierrors.IsNotFound(err)
	return err
}

func (s *slot) plugin() *wasmv1alpha1.WasmPlugin {
	return &wasmv1alpha1.WasmPlugin{ObjectMeta: metav1.ObjectMeta{Namespace: s.scene.namespace, Name: s.name}}
}
