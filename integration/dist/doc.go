// Package dist has no code: its test makes what `make dist` gives to others, unpacks it and runs it.
package dist
