package api

import "time"

// FileVersion is one version in the history of a document.
type FileVersion struct {
	ID         ID        `json:"id"`
	Size       int64     `json:"size"` // bytes
	SHA256     Hash      `json:"sha256"`
	Time       time.Time `json:"time"` // when the server got it
	Device     ID        `json:"device,omitzero"`
	DeviceName string    `json:"device_name,omitempty"` // "" when the device is gone, or another user's
	Current    bool      `json:"current,omitempty"`     // the file has this content now
}

// Trashed is something that was deleted and can be brought back: a file, or a
// directory with all that was deleted together with it.
type Trashed struct {
	Node       ID        `json:"node"`
	Type       Type      `json:"type"`
	Path       Name      `json:"path"` // where it was: names joined by slashes
	Size       int64     `json:"size"` // bytes; of a file
	Document   ID        `json:"document,omitzero"`
	Deleted    time.Time `json:"deleted"`
	Device     ID        `json:"device,omitzero"` // which deleted it
	DeviceName string    `json:"device_name,omitempty"`
	Seq        int64     `json:"seq"` // the change that deleted it
}

// TrashPage is a page of a drive's trash, what was deleted last first.
type TrashPage struct {
	Items []Trashed `json:"items"`
	More  bool      `json:"more,omitempty"` // ask again before the last item's Seq
}

// Point is a point in a drive's past: after the change Seq, or at a time.
type Point struct {
	Seq  int64
	Time time.Time // zero: Seq says it
}

// Restored tells what a restore did.
type Restored struct {
	Seq     int64 `json:"seq"`               // of the drive after it
	Point   int64 `json:"point,omitempty"`   // of a whole drive: the change after which it is again as it was
	Changed int   `json:"changed"`           // changes that it took; 0: nothing had to change
	Missing int   `json:"missing,omitempty"` // files whose content of then is not kept any more: left out
	Path    Name  `json:"path,omitempty"`    // of a thing from the trash: where it is now

	Names   int      `json:"names,omitempty"`   // of a dry restore: what it would change
	Effects []Effect `json:"effects,omitempty"` // and how, of the first 100
}

// Effect is what a restore would do to something.
type Effect struct {
	Path Name   `json:"path"`         // where it is or, if it is not there, shall be; "" is the drive's root
	To   Name   `json:"to,omitempty"` // of what is moved
	What string `json:"what"`         // one of the constants below
}

// What becomes of things.
const (
	EffectBack       = "back"       // it is not there now
	EffectTrashed    = "trashed"    // it was not there then
	EffectMoved      = "moved"      // it was elsewhere then; its content may have been another, too
	EffectContent    = "content"    // it had another content then
	EffectAttributes = "attributes" // it had other permissions or times then
)

// Emptied tells what was removed from the trash for good.
type Emptied struct {
	Items int   `json:"items"`
	Bytes int64 `json:"bytes"`
}
