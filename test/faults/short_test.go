// SPDX-License-Identifier: Apache-2.0

//go:build !long

package faults

const (
	// long says that there is time: make full.
	long = false
	// storms is how many there are.
	storms = 1
)
