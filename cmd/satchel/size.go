package main

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// size is a number of bytes as a flag and as text: 10GiB, 10G and 10240M are
// the same, 10GB is the decimal one.
type size int64

var sizeUnits = []struct {
	suffix string
	bytes  float64
}{
	{"kib", 1 << 10}, {"mib", 1 << 20}, {"gib", 1 << 30}, {"tib", 1 << 40},
	{"kb", 1e3}, {"mb", 1e6}, {"gb", 1e9}, {"tb", 1e12},
	{"k", 1 << 10}, {"m", 1 << 20}, {"g", 1 << 30}, {"t", 1 << 40}, {"b", 1}, {"", 1},
}

// UnmarshalText reads a flag's value.
func (s *size) UnmarshalText(b []byte) error {
	text := strings.ToLower(strings.TrimSpace(string(b)))
	for _, unit := range sizeUnits {
		number, ok := strings.CutSuffix(text, unit.suffix)
		if !ok {
			continue
		}
		n, err := strconv.ParseFloat(strings.TrimSpace(number), 64)
		if err != nil || !(n >= 0) || n*unit.bytes > math.MaxInt64/2 {
			break
		}
		*s = size(n * unit.bytes)
		return nil
	}
	return fmt.Errorf("%q is not a size: write 500MiB or 10GiB", b)
}

// exact is the size as a flag has it, to the byte.
func (s size) exact() string {
	for i := len(binaryUnits) - 1; i > 0; i-- {
		if unit := size(1) << (10 * i); s != 0 && s%unit == 0 {
			return fmt.Sprintf("%d%s", s/unit, binaryUnits[i])
		}
	}
	return fmt.Sprintf("%dB", int64(s))
}

// binaryUnits are each 1024 of the one before.
var binaryUnits = []string{"B", "KiB", "MiB", "GiB", "TiB"}

// rate is so many bytes a second, as a flag.
type rate size

// UnmarshalText reads a flag's value.
func (r *rate) UnmarshalText(b []byte) error {
	if (*size)(r).UnmarshalText(b) != nil {
		return fmt.Errorf("%q is not a rate: write so many bytes a second as 500KiB or 10MiB", b)
	}
	return nil
}

func (s size) String() string {
	n := float64(s)
	for _, unit := range binaryUnits[:4] {
		if n < 1024 {
			if unit == "B" || n >= 100 {
				return fmt.Sprintf("%.0f %s", n, unit)
			}
			return fmt.Sprintf("%.1f %s", n, unit)
		}
		n /= 1024
	}
	return fmt.Sprintf("%.1f TiB", n)
}
