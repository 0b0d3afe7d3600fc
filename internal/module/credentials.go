// SPDX-License-Identifier: Apache-2.0

package module

import (
	"encoding/json"
	"path"
	"strings"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
)

// credentialsFor finds the entry of a pull secret for a repository, as the kubelet does, and what to advise when it is of
// no use. Only what is written there counts: no credential helper is ever started.
func credentialsFor(repo name.Repository, pullSecret []byte) (authn.Authenticator, string, error) {
	if pullSecret == nil {
		return authn.Anonymous, "check the name, or set spec.imagePullSecret", nil
	}
	var config struct {
		Auths map[string]json.RawMessage `json:"auths"`
	}
	if err := json.Unmarshal(pullSecret, &config); err != nil || config.Auths == nil {
		return nil, "", newError(InvalidPullSecret,
			`the pull secret is not a Docker configuration with "auths"; make it with kubectl create secret docker-registry`)
	}
	best, bestSpecific := "", 0
	for key := range config.Auths {
		// Between equals any order will do, so long as it is always the same.
		specific := covers(key, repo)
		if specific > bestSpecific || (specific == bestSpecific && specific > 0 && key < best) {
			best, bestSpecific = key, specific
		}
	}
	if best == "" {
		return authn.Anonymous, "the pull secret has no entry for this registry", nil
	}
	var entry authn.AuthConfig
	if err := json.Unmarshal(config.Auths[best], &entry); err != nil {
		return nil, "", newError(InvalidPullSecret, "the pull secret's entry for this registry can't be read; "+
			"its auth must be the base64 of USER:PASSWORD")
	}
	return authn.FromConfig(entry), "check the credentials in the pull secret, and that they may pull from this repository", nil
}

// covers says how specifically a key of a Docker configuration, such as registry.example.com/team or *.example.com, is about
// a repository: 0 if it isn't, more for a longer path.
func covers(key string, repo name.Repository) int {
	_, bare, found := strings.Cut(key, "://")
	if !found {
		bare = key
	}
	host, folder, _ := strings.Cut(bare, "/")
	folder = strings.Trim(folder, "/")
	if folder == "v1" || folder == "v2" {
		folder = "" // the API's path, as docker login writes it
	}
	if host == "docker.io" || host == "registry-1.docker.io" {
		host = name.DefaultRegistry
	}
	if !sameHost(host, repo.RegistryStr()) || (folder != "" && !strings.HasPrefix(repo.RepositoryStr()+"/", folder+"/")) {
		return 0
	}
	return 1 + len(folder)
}

// sameHost compares label by label, so that a * stands for one label only.
func sameHost(pattern, host string) bool {
	wanted, labels := strings.Split(pattern, "."), strings.Split(host, ".")
	if len(wanted) != len(labels) {
		return false
	}
	for i, label := range labels {
		if match, err := path.Match(wanted[i], label); err != nil || !match {
			return false
		}
	}
	return true
}
