// SPDX-License-Identifier: Apache-2.0

package rollout

// Failures are what proxies count, by the proxy's id.
type Failures map[string]Counts

// Counts are numbers of requests since a proxy's start.
type Counts struct {
	Requests uint64 `json:"requests"`
	// Failed were answered with a status of 500 to 599.
	Failed uint64 `json:"failed"`
}

const (
	// fewFailures are no reason to take a change back, moreFailing is: this much more of all requests than before.
	fewFailures = 5
	moreFailing = 0.05
)

// Requests are those of all proxies.
func (f Failures) Requests() uint64 {
	sum := uint64(0)
	for _, counts := range f {
		sum += counts.Requests
	}
	return sum
}

// worseThan says whether in one of the proxies requests fail that didn't before.
func (f Failures) worseThan(before Failures) bool {
	for proxy, now := range f {
		then, known := before[proxy]
		if known && now.worseThan(then) {
			return true
		}
	}
	return false
}

func (c Counts) worseThan(before Counts) bool {
	usual := before.share()
	if c.Requests < before.Requests || c.Failed < before.Failed {
		before = Counts{} // it started anew
	}
	since := Counts{Requests: c.Requests - before.Requests, Failed: c.Failed - before.Failed}
	return since.Failed >= fewFailures && since.share() > usual+moreFailing
}

func (c Counts) share() float64 {
	if c.Requests == 0 {
		return 0
	}
	return float64(c.Failed) / float64(c.Requests)
}
