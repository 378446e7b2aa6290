//go:build race

package rig

// Race tells whether this process was built with the race detector: what a rig builds then is, too.
const Race = true
