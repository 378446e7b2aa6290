//go:build !race

package rig

// Race tells whether this process was built with the race detector: what a rig builds then is, too, and has the order of its locks checked.
const Race = false
