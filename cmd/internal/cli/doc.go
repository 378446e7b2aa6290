// Package cli is what the command lines of satchel and satcheld have in
// common: the configuration file, examples in the help, manual pages and
// completion by the shell, all from one description of the commands, the
// structs that kong reads.
package cli
