package web

import (
	"encoding/xml"
	"fmt"
	"html/template"
	"math"
	"strings"
)

// Chart is a figure: a drawing and the same as a table. Colours and fonts are the
// stylesheet's, so that it is dark where the page is.
type Chart struct {
	ID      string // unique on the page
	Title   string
	Summary string // what it shows, in a sentence
	Columns []Column
	Rows    [][]string // the table
	SVG     template.HTML
	Empty   string // said in place of both
	Exports []Export
}

// Bar is one value of a chart.
type Bar struct {
	Label string
	Value int64
	Text  string // the value for people
}

// svg is a drawing in the making.
type svg struct{ strings.Builder }

func newSVG(id, title, desc string, width, height int) *svg {
	d := &svg{}
	fmt.Fprintf(d, `<svg class="chart" viewBox="0 0 %d %d" role="img" aria-labelledby="%s-title %[3]s-desc" xmlns="http://www.w3.org/2000/svg">`, width, height, escaped(id))
	fmt.Fprintf(d, `<title id="%s-title">%s</title><desc id="%[1]s-desc">%[3]s</desc>`, escaped(id), escaped(title), escaped(desc))
	return d
}

func escaped(s string) string {
	var b strings.Builder
	xml.EscapeText(&b, []byte(s)) // quotes, too; fails only with its writer
	return b.String()
}

func (d *svg) text(class, anchor string, x, y float64, s string) {
	fmt.Fprintf(d, `<text class="%s" text-anchor="%s" x="%.1f" y="%.1f">%s</text>`, class, anchor, x, y, escaped(s))
}

func (d *svg) end() template.HTML {
	d.WriteString(`</svg>`)
	return template.HTML(d.String()) // all text in it is escaped above
}

// Bars draws values as horizontal bars below each other, each below its name and with its
// value at its end.
func Bars(id, title, desc string, bars []Bar) template.HTML {
	const row, value, longest = 42, 80, 52 // longest: as many letters as fit
	most := int64(1)
	for _, b := range bars {
		most = max(most, b.Value)
	}
	d := newSVG(id, title, desc, chartWidth, max(1, len(bars))*row)
	for i, b := range bars {
		y := float64(i * row)
		length := max(float64(b.Value)/float64(most)*(chartWidth-value), 2)
		d.text("label", "start", 0, y+14, shortened(b.Label, longest))
		fmt.Fprintf(d, `<rect class="mark" x="0" y="%.1f" width="%.1f" height="14" rx="3"><title>%s: %s</title></rect>`,
			y+20, length, escaped(b.Label), escaped(b.Text))
		d.text("value", "start", length+8, y+32, b.Text)
	}
	return d.end()
}

func shortened(s string, n int) string {
	if r := []rune(s); len(r) > n {
		return string(r[:n-1]) + "…"
	}
	return s
}

// Sizes of drawings, in the unit of which a letter is 13 high: narrow, so that letters can be
// read on a phone, too.
const (
	chartWidth           = 400
	timeHeight           = 190
	timeLeft, timeBottom = 58, 26
	timeTop              = 12
)

// Columns draws one value for each day, from left to right.
func Columns(id, title, desc string, days []Bar, unit func(int64) string) template.HTML {
	d, scale := timeAxes(id, title, desc, days, unit)
	step := float64(chartWidth-timeLeft) / float64(max(1, len(days)))
	for i, b := range days {
		h := float64(b.Value) * scale
		if b.Value > 0 {
			h = math.Max(h, 1.5)
		}
		fmt.Fprintf(d, `<rect class="mark" x="%.1f" y="%.1f" width="%.1f" height="%.1f"><title>%s: %s</title></rect>`,
			timeLeft+float64(i)*step+step*.1, timeHeight-timeBottom-h, step*.8, h, escaped(b.Label), escaped(b.Text))
	}
	return d.end()
}

// Area draws what there was at the end of each day.
func Area(id, title, desc string, days []Bar, unit func(int64) string) template.HTML {
	d, scale := timeAxes(id, title, desc, days, unit)
	if len(days) == 0 {
		return d.end()
	}
	step := float64(chartWidth-timeLeft) / float64(len(days))
	var line strings.Builder
	base := float64(timeHeight - timeBottom)
	x := func(i int) float64 { return timeLeft + (float64(i)+.5)*step }
	for i, b := range days {
		fmt.Fprintf(&line, "%.1f,%.1f ", x(i), base-float64(b.Value)*scale)
	}
	points := strings.TrimSpace(line.String())
	fmt.Fprintf(d, `<polygon class="area" points="%.1f,%.1f %s %.1f,%.1f"/><polyline class="line" points="%[3]s"/>`, x(0), base, points, x(len(days)-1), base)
	return d.end()
}

// timeAxes begins a drawing over days: lines with their values, and some of the
// days' names. It returns how many units of the drawing one of a value is.
func timeAxes(id, title, desc string, days []Bar, unit func(int64) string) (*svg, float64) {
	most := int64(1)
	for _, b := range days {
		most = max(most, b.Value)
	}
	top := niceAbove(most)
	d := newSVG(id, title, desc, chartWidth, timeHeight)
	height := float64(timeHeight - timeBottom - timeTop)
	lines := int64(4)
	if top < lines { // a quarter of a change is none
		lines = top
	}
	for i := range lines + 1 {
		y := float64(timeHeight-timeBottom) - height*float64(i)/float64(lines)
		fmt.Fprintf(d, `<line class="rule" x1="%d" x2="%d" y1="%.1f" y2="%.1f"/>`, timeLeft, chartWidth, y, y)
		d.text("label", "end", timeLeft-8, y+4, unit(top*i/lines))
	}
	step := float64(chartWidth-timeLeft) / float64(max(1, len(days)))
	every := max(1, (len(days)+5)/6)
	for i := len(days) - 1; i >= 0; i -= every {
		d.text("label", "middle", math.Min(timeLeft+(float64(i)+.5)*step, chartWidth-20), timeHeight-8, strings.TrimPrefix(days[i].Label, days[len(days)-1].Label[:5]))
	}
	return d, height / float64(top)
}

// niceAbove is the next of 1, 2, 4, 8 × a power of ten that is not below n: it can be quartered.
func niceAbove(n int64) int64 {
	for p := int64(1); ; p *= 10 {
		for _, m := range []int64{1, 2, 4, 8} {
			if p > math.MaxInt64/20 || m*p >= n {
				return m * p
			}
		}
	}
}
