package backup

// Options of a backup, a restore or a check.
type Options struct {
	// Progress is told how far a step is; total 0 means that nobody knows. It
	// may be nil.
	Progress func(step string, done, total int64)

	// Waiting is called when a backup has to wait for garbage collection, or
	// another backup, to end. It may be nil.
	Waiting func()
}

func (o Options) progress(step string, done, total int64) {
	if o.Progress != nil {
		o.Progress(step, done, total)
	}
}

// Report tells what was saved, restored or checked. Sizes are in bytes.
type Report struct {
	Name string `json:"name,omitempty"` // in a blob store; of a file that has another one than was asked for
	Header
	Summary
	Size    int64   `json:"size"`    // of the stream; in a blob store content is beside it
	Copied  int64   `json:"copied"`  // packs, without those that were there
	Removed int64   `json:"removed"` // older backups
	Seconds float64 `json:"seconds"` // that it took
}
