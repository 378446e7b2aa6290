package everyday

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"
)

// Markdown is the table: seconds on the plain folder (or whatever system came
// first), how many times as long each other one takes, and Satchel in relation
// to the loopback that it is held against.
func (r *Results) Markdown() string {
	first := r.systems[0].Name
	others := r.systems[1:]
	var held []*System
	for _, s := range r.systems {
		if slices.ContainsFunc(r.systems, func(o *System) bool { return o.Name == s.Against }) {
			held = append(held, s)
		}
	}

	var b strings.Builder
	fmt.Fprintf(&b, "| work | %s, s |", first)
	rule := "|---|---:|"
	for _, s := range others {
		fmt.Fprintf(&b, " %s ÷ %s |", s.Name, first)
		rule += "---:|"
	}
	for _, h := range held {
		fmt.Fprintf(&b, " **%s ÷ %s** |", h.Name, h.Against)
		rule += "---:|"
	}
	b.WriteString("\n" + rule + "\n")

	toFirst := make([][]float64, len(others))
	toHeld := make([][]float64, len(held))
	for _, row := range r.rows {
		base := r.Median(row.Word, first)
		fmt.Fprintf(&b, "| %s | %s |", row.Name, seconds(base))
		for i, s := range others {
			b.WriteString(ratio(r.Median(row.Word, s.Name), base, &toFirst[i]))
		}
		for i, h := range held {
			b.WriteString(ratio(r.Median(row.Word, h.Name), r.Median(row.Word, h.Against), &toHeld[i]))
		}
		b.WriteString("\n")
	}
	b.WriteString("| geometric mean | |")
	for _, ratios := range toFirst {
		b.WriteString(mean(ratios))
	}
	for _, ratios := range toHeld {
		b.WriteString(mean(ratios))
	}
	b.WriteString("\n\n")
	for _, s := range r.systems {
		fmt.Fprintf(&b, "- %s: %s\n", s.Name, s.About)
	}
	for _, row := range r.rows {
		for _, s := range r.systems {
			if err := r.errs[cell{row.Word, s.Name}]; err != nil {
				text, _, _ := strings.Cut(err.Error(), "\n")
				fmt.Fprintf(&b, "- %s failed on %s: %s\n", row.Name, s.Name, text)
			}
		}
	}
	return b.String()
}

func seconds(d time.Duration) string {
	if d == 0 {
		return "–"
	}
	return fmt.Sprintf("%.3f", d.Seconds())
}

func ratio(d, to time.Duration, all *[]float64) string {
	if d == 0 || to == 0 {
		return " – |"
	}
	v := float64(d) / float64(to)
	*all = append(*all, v)
	return fmt.Sprintf(" %.2f |", v)
}

func mean(ratios []float64) string {
	if len(ratios) == 0 {
		return " – |"
	}
	sum := 0.0
	for _, v := range ratios {
		sum += math.Log(v)
	}
	return fmt.Sprintf(" **%.2f** |", math.Exp(sum/float64(len(ratios))))
}
