// Package layout has no code: its test holds the checkout to the shape that
// docs/design.md describes. `make check` runs it.
package layout
