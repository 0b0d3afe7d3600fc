// SPDX-License-Identifier: Apache-2.0

package publish

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/pflag"
	authenticationv1 "k8s.io/api/authentication/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/solarmesh/wasmplugin-operator/cmd/wasmctl/internal/cli"
	"github.com/solarmesh/wasmplugin-operator/cmd/wasmctl/internal/tunnel"
	"github.com/solarmesh/wasmplugin-operator/internal/store"
)

const (
	storeScheme   = "store://"
	defaultTag    = "latest"
	tokenLifetime = 10 * time.Minute // the shortest that an API server gives
)

// storeOptions say how to reach the operator's store, and as whom.
type storeOptions struct {
	cluster        cli.ClusterOptions
	namespace      string // the operator's
	service        string
	serviceAccount string
	tokenFile      string
	uploadURL      string
	move           bool
}

func (o *storeOptions) add(flags *pflag.FlagSet) {
	o.cluster.Add(flags)
	flags.StringVar(&o.namespace, "operator-namespace", "istio-system", "Namespace of the operator and its store, for store://.")
	flags.StringVar(&o.service, "store-service", "wasmplugin-operator-store-upload", "Service of the store's upload port.")
	flags.StringVar(&o.serviceAccount, "service-account", "module-pusher", "ServiceAccount of the plugin's namespace that pushes; a token of it is asked for.")
	flags.StringVar(&o.tokenFile, "store-token-file", "", "File with a token for the audience wasm.solarmesh.io, instead of --service-account.")
	flags.StringVar(&o.uploadURL, "store-upload-url", "", "URL of the store's upload port, where that can be reached. Default: one of its pods, through the API server.")
	flags.BoolVar(&o.move, "move", false, "Move a tag of the store that names another module.")
}

// storeTarget is a tag in the store.
type storeTarget struct {
	namespace, name, tag string
}

func (t storeTarget) String() string { return storeScheme + t.name + ":" + t.tag }

// parse reads store://NAME[:TAG].
func (o *storeOptions) parse(reference string) (storeTarget, error) {
	name, tag, tagged := strings.Cut(strings.TrimPrefix(reference, storeScheme), ":")
	if !tagged {
		tag = defaultTag
	}
	namespace, err := o.cluster.ChosenNamespace()
	if err != nil {
		return storeTarget{}, err
	}
	if err := store.CheckName(namespace, name); err != nil {
		return storeTarget{}, fmt.Errorf("%s: %w", reference, err)
	}
	if err := store.CheckTag(tag); err != nil {
		return storeTarget{}, fmt.Errorf("%s: %w", reference, err)
	}
	return storeTarget{namespace, name, tag}, nil
}

// push uploads a module, and returns how it is pinned.
func (o *storeOptions) push(ctx context.Context, t storeTarget, p *plugin, caFile string, timeout time.Duration, errOut io.Writer) (*Pushed, error) {
	options := store.ClientOptions{URL: o.uploadURL, CAFile: caFile, TokenFile: o.tokenFile, Timeout: timeout}
	if o.tokenFile == "" || o.uploadURL == "" {
		config, err := o.cluster.Config()
		if err != nil {
			return nil, err
		}
		done, err := o.reach(ctx, config, t.namespace, &options, errOut)
		if err != nil {
			return nil, err
		}
		defer done()
	}
	client, err := store.NewClient(options)
	if err != nil {
		return nil, err
	}
	defer client.CloseIdleConnections()
	tagged, err := o.upload(ctx, client, t, p)
	if err != nil {
		return nil, o.advise(err, t)
	}
	if tagged.Digest != p.digest() {
		return nil, fmt.Errorf("%s: the store took another module than was sent (%s, not %s); push again", t, tagged.Digest, p.digest())
	}
	pushed := p.pushed(t.String(), p.digest())
	pushed.Namespace = t.namespace
	return pushed, nil
}

func (o *storeOptions) upload(ctx context.Context, client *store.Client, t storeTarget, p *plugin) (store.TaggedModule, error) {
	ifMatch := ""
	if o.move {
		digest, _, err := client.Tag(ctx, t.namespace, t.name, t.tag)
		if err != nil && store.KindOf(err) != store.NotFound {
			return store.TaggedModule{}, err
		}
		ifMatch = digest
	}
	return client.Push(ctx, t.namespace, t.name, t.tag, bytes.NewReader(p.content), ifMatch)
}

// advise adds to an error what to do about it on the command line.
func (o *storeOptions) advise(err error, t storeTarget) error {
	if blocked, ok := errors.AsType[*tunnel.Error](err); ok {
		return fmt.Errorf("%s: the store's pod %s", t, blocked.Advise("give the URL of its upload port with --store-upload-url"))
	}
	switch store.KindOf(err) {
	case store.Conflict:
		return &cli.RefusedError{Sentence: err.Error() + " (--move moves the tag)"}
	case store.Refused, store.TooLarge:
		return &cli.RefusedError{Sentence: err.Error()}
	case store.Denied:
		return fmt.Errorf("%w; kubectl -n %s create rolebinding push-modules --clusterrole=wasmplugin-operator-module-pusher --serviceaccount=%s:%s",
			err, t.namespace, t.namespace, o.serviceAccount)
	default:
		return err
	}
}

// reach completes the options with what the cluster gives: a token, and a way to the store.
func (o *storeOptions) reach(ctx context.Context, config *rest.Config, namespace string, options *store.ClientOptions, errOut io.Writer) (func(), error) {
	config = rest.CopyConfig(config)
	config.ContentType, config.AcceptContentTypes = runtime.ContentTypeJSON, runtime.ContentTypeJSON
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("reach the cluster: %w", err)
	}
	if o.tokenFile == "" {
		if options.Token, err = o.token(ctx, client, namespace); err != nil {
			return nil, err
		}
	}
	if o.uploadURL != "" {
		return func() {}, nil
	}
	return o.forward(ctx, config, client, options, errOut)
}

// token asks for one that only the store takes, since users with a certificate have none of their own.
func (o *storeOptions) token(ctx context.Context, client kubernetes.Interface, namespace string) (string, error) {
	seconds := int64(tokenLifetime / time.Second)
	request := &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{
		Audiences: []string{store.Audience}, ExpirationSeconds: &seconds,
	}}
	answer, err := client.CoreV1().ServiceAccounts(namespace).CreateToken(ctx, o.serviceAccount, request, metav1.CreateOptions{})
	switch {
	case apierrors.IsNotFound(err):
		return "", fmt.Errorf("ServiceAccount %s/%s doesn't exist; create it (kubectl -n %s create serviceaccount %s) and bind it to the ClusterRole "+
			"wasmplugin-operator-module-pusher, or name another one with --service-account", namespace, o.serviceAccount, namespace, o.serviceAccount)
	case apierrors.IsForbidden(err):
		return "", fmt.Errorf("you may not ask for a token of ServiceAccount %s/%s; that takes the right to create serviceaccounts/token", namespace, o.serviceAccount)
	case err != nil:
		return "", fmt.Errorf("ask for a token of ServiceAccount %s/%s: %w", namespace, o.serviceAccount, err)
	case answer.Status.Token == "":
		return "", errors.New("the API server gave no token")
	}
	return answer.Status.Token, nil
}
