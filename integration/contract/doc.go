// Package contract shows the lines of the compatibility contract, one test for
// each, against a satcheld over HTTP with each blob store; and attacks
// whatever its description says that it serves.
package contract
