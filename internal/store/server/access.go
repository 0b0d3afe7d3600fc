// SPDX-License-Identifier: Apache-2.0

package server

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/cache"
	"k8s.io/client-go/kubernetes"

	"github.com/solarmesh/wasmplugin-operator/internal/store"
)

const (
	reviewTimeout = 10 * time.Second
	// A right that is taken away ends soon, and one that is given is had at once, nearly.
	keepAllowed = 10 * time.Second
	keepDenied  = 2 * time.Second
	// keptVerdicts bounds the memory that strangers can take with their tokens.
	keptVerdicts = 4096
	// longestToken is beyond any that a cluster issues.
	longestToken = 16 << 10
)

var (
	errUnauthenticated = errors.New("the token is not accepted")
	errForbidden       = errors.New("the token lacks the right")
)

// Right is what a request needs. Without a namespace it is one on all modules of the cluster.
type Right struct{ Verb, Namespace, Name string }

func (r Right) String() string {
	if r.Namespace == "" {
		return fmt.Sprintf("%s on %s.%s in the whole cluster", r.Verb, store.Resource, store.Group)
	}
	return fmt.Sprintf("%s on %s.%s %q in namespace %q", r.Verb, store.Resource, store.Group, r.Name, r.Namespace)
}

// Access decides whether the bearer of a token has a right: nil, errors that wrap one of this package's, or others where
// that can't be known at the moment.
type Access interface {
	Check(ctx context.Context, token string, right Right) error
}

// reviews asks the API server, and keeps its answers for some seconds.
type reviews struct {
	client   kubernetes.Interface
	verdicts *cache.LRUExpireCache
}

// NewAccess asks the API server: TokenReviews for who it is, SubjectAccessReviews for what they may do.
func NewAccess(client kubernetes.Interface) Access {
	return &reviews{client: client, verdicts: cache.NewLRUExpireCache(keptVerdicts)}
}

// question is a token, as its hash, and what it is to be good for.
type question struct {
	token [sha256.Size]byte
	right Right
}

// Check asks, or remembers.
func (r *reviews) Check(ctx context.Context, token string, right Right) error {
	asked := question{token: sha256.Sum256([]byte(token)), right: right}
	if known, ok := r.verdicts.Get(asked); ok {
		verdict, _ := known.(error)
		return verdict
	}
	ctx, cancel := context.WithTimeout(ctx, reviewTimeout)
	defer cancel()
	err := r.ask(ctx, token, right)
	switch {
	case err == nil:
		r.verdicts.Add(asked, nil, keepAllowed)
	case errors.Is(err, errUnauthenticated), errors.Is(err, errForbidden):
		r.verdicts.Add(asked, err, keepDenied)
	}
	return err
}

func (r *reviews) ask(ctx context.Context, token string, right Right) error {
	user, err := r.client.AuthenticationV1().TokenReviews().Create(ctx, &authenticationv1.TokenReview{
		Spec: authenticationv1.TokenReviewSpec{Token: token, Audiences: []string{store.Audience}},
	}, metav1.CreateOptions{})
	if err != nil {
		return fmt.Errorf("ask the API server whose token it is (which takes the right to create tokenreviews): %w", err)
	}
	// An API server that knows no audiences returns none, and would accept any token.
	if !user.Status.Authenticated || !slices.Contains(user.Status.Audiences, store.Audience) {
		return errUnauthenticated
	}
	review := &authorizationv1.SubjectAccessReview{Spec: authorizationv1.SubjectAccessReviewSpec{
		User: user.Status.User.Username, UID: user.Status.User.UID, Groups: user.Status.User.Groups, Extra: extra(user.Status.User.Extra),
		ResourceAttributes: &authorizationv1.ResourceAttributes{
			Group: store.Group, Resource: store.Resource, Verb: right.Verb, Namespace: right.Namespace, Name: right.Name,
		},
	}}
	answer, err := r.client.AuthorizationV1().SubjectAccessReviews().Create(ctx, review, metav1.CreateOptions{})
	if err != nil {
		return fmt.Errorf("ask the API server what the token may do (which takes the right to create subjectaccessreviews): %w", err)
	}
	if !answer.Status.Allowed {
		return errForbidden
	}
	return nil
}

func extra(values map[string]authenticationv1.ExtraValue) map[string]authorizationv1.ExtraValue {
	all := make(map[string]authorizationv1.ExtraValue, len(values))
	for name, value := range values {
		all[name] = authorizationv1.ExtraValue(value)
	}
	return all
}

// allow is nil if the request's token has the right.
func (s *Server) allow(request *http.Request, right Right) error {
	scheme, token, _ := strings.Cut(request.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") || token == "" || len(token) > longestToken {
		return refuse(http.StatusUnauthorized, "send a token of this cluster, issued for the audience %s, as Authorization: Bearer", store.Audience)
	}
	err := s.options.Access.Check(request.Context(), token, right)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, errUnauthenticated):
		return refuse(http.StatusUnauthorized, "the token is not accepted; it must be issued by this cluster, for the audience %s, and not be expired", store.Audience)
	case errors.Is(err, errForbidden):
		return refuse(http.StatusForbidden, "this takes the verb %s; ask for a Role with it", right)
	default:
		refused := refuse(http.StatusServiceUnavailable, "the API server can't be asked about the token at the moment; try again")
		refused.cause = err
		return refused
	}
}
