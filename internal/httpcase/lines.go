// SPDX-License-Identifier: Apache-2.0

package httpcase

import "strings"

// line is one of a file.
type line struct {
	number int
	text   string
}

// blocks splits a file at the lines that begin a case.
func blocks(content []byte) [][]line {
	var all [][]line
	var current []line
	number := 0
	for text := range strings.Lines(string(content)) {
		number++
		text = strings.TrimSuffix(strings.TrimSuffix(text, "\n"), "\r")
		if strings.HasPrefix(text, caseMark) && len(current) > 0 {
			all, current = append(all, current), nil
		}
		current = append(current, line{number, text})
	}
	if len(current) > 0 {
		all = append(all, current)
	}
	return all
}

// bodyOf joins lines, without those at the end that are empty.
func bodyOf(lines []line) string {
	var body strings.Builder
	for i, l := range lines {
		if i > 0 {
			body.WriteByte('\n')
		}
		body.WriteString(l.text)
	}
	return strings.TrimRight(body.String(), "\r\n")
}
