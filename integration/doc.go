// Package integration tests Satchel end to end, with nothing but the real
// parts: the built programs, a private PostgreSQL, kernel mounts, and the tools
// that people use on them. What it starts is described in package rig.
package integration
