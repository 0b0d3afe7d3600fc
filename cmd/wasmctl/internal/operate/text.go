// SPDX-License-Identifier: Apache-2.0

package operate

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/fatih/color"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/duration"

	"github.com/solarmesh/wasmplugin-operator/cmd/wasmctl/internal/cli"
)

// printer writes for people.
type printer struct {
	// colours are for a terminal whose user wants them (NO_COLOR, TERM=dumb).
	colours bool
	wide    bool
	now     time.Time
}

func newPrinter(out io.Writer, wide bool) printer {
	return printer{colours: out == os.Stdout && !color.NoColor, wide: wide, now: time.Now()}
}

// paint colours a text by the status of a condition.
func (p printer) paint(status, text string) string {
	shade := map[string]color.Attribute{
		string(metav1.ConditionTrue): color.FgGreen, string(metav1.ConditionFalse): color.FgRed, string(metav1.ConditionUnknown): color.FgYellow,
	}
	attribute, known := shade[status]
	if !p.colours || !known {
		return text
	}
	painted := color.New(attribute)
	painted.EnableColor()
	return painted.Sprint(text)
}

// table has a line for each plugin, as kubectl get has, and under one that isn't ready what its condition says.
func (p printer) table(views []view, headed bool) string {
	var rows [][]string
	if headed {
		rows = append(rows, p.heads())
	}
	for _, v := range views {
		rows = append(rows, p.row(v))
	}
	widths := make([]int, len(p.heads()))
	for _, row := range rows {
		for i, cell := range row {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	var out strings.Builder
	for _, row := range rows {
		var line strings.Builder
		for i, cell := range row {
			padded := cell + strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell)+2)
			if i == readyColumn {
				padded = p.paint(cell, padded)
			}
			line.WriteString(padded)
		}
		out.WriteString(strings.TrimRight(line.String(), " ") + "\n")
	}
	return out.String()
}

// readyColumn is where READY stands.
const readyColumn = 2

func (p printer) heads() []string {
	heads := []string{"NAMESPACE", "NAME", "READY", "REASON", "PROXIES", "STATE", "DIGEST", "AGE"}
	if p.wide {
		heads = append(heads, "MODE", "DELIVERY", "MESSAGE")
	}
	return heads
}

func (p printer) row(v view) []string {
	row := []string{v.Namespace, v.Name, v.Ready, v.Reason, v.summary(), v.state(), v.digest(), p.age(v.Created)}
	if p.wide {
		row = append(row, v.Mode, v.Delivery, v.Message)
	}
	for i := range row {
		if row[i] = cli.Printable(row[i]); row[i] == "" {
			row[i] = "-"
		}
	}
	return row
}

func (p printer) age(since time.Time) string {
	if since.IsZero() {
		return ""
	}
	return duration.HumanDuration(p.now.Sub(since))
}

// detail says all about one plugin.
func (p printer) detail(v view) string {
	var out strings.Builder
	fmt.Fprintf(&out, "%s/%s: %s\n", v.Namespace, v.Name, p.paint(v.Ready, "Ready "+v.Ready+", "+v.Reason))
	line := func(name, text string) {
		if text != "" {
			fmt.Fprintf(&out, "  %-16s%s\n", name, cli.Printable(text))
		}
	}
	line("", v.Message)
	if v.Module != nil {
		line("Module", fmt.Sprintf("%s (%d bytes, proxy-wasm %s)", v.Module.Source, v.Module.Size, v.Module.ABI))
		line("Digest", v.Module.Digest)
		line("Signed", v.Module.VerifiedBy)
	}
	if v.Activation != "" {
		line("Activation", fmt.Sprintf("%s, mode %s, delivery %s", v.Activation, v.Mode, v.Delivery))
	}
	line("Rollout", v.Rollout)
	if v.Proxies != nil {
		line("Proxies", strings.TrimSpace(v.summary()+" "+p.bar(v)))
		for _, refusal := range v.Proxies.Rejections {
			line("  refused", refusal.Proxy+": "+refusal.Message)
		}
	}
	line("EnvoyFilters", strings.Join(v.EnvoyFilters, ", "))
	for _, c := range v.Conditions {
		text := fmt.Sprintf("%-8s %s", c.Status, c.Reason)
		if age := p.age(c.Since); age != "" {
			text += ", " + age
		}
		// The message of Ready stands above.
		if c.Message != "" && c.Message != v.Message {
			text += ": " + cli.Printable(c.Message)
		}
		fmt.Fprintf(&out, "  %-16s%s\n", c.Type, p.paint(colourOf(c), text))
	}
	return out.String()
}

// colourOf is a condition's status, but for those that are bad or open news when they are True.
func colourOf(c conditionView) string {
	switch c.Type {
	case "Stalled":
		return string(metav1.ConditionFalse)
	case "Reconciling":
		return string(metav1.ConditionUnknown)
	}
	return c.Status
}

// barWidth is that of a full bar.
const barWidth = 20

// bar shows how many proxies run it, on a terminal.
func (p printer) bar(v view) string {
	if !p.colours || v.Proxies.Matched == nil || *v.Proxies.Matched == 0 || v.Proxies.Programmed == nil {
		return ""
	}
	full := int(*v.Proxies.Programmed) * barWidth / int(*v.Proxies.Matched)
	return "[" + strings.Repeat("#", full) + strings.Repeat(".", barWidth-full) + "]"
}
