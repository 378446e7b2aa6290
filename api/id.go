package api

import (
	"crypto/rand"
	"database/sql/driver"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"time"
)

// ID is a UUID. Ids of nodes, versions and incarnations are UUIDv7 made by
// the client (RFC 9562), so they sort by the time they were made.
type ID [16]byte

// SystemOwner owns the named system drives. It is not the nil UUID, which means
// absence.
var SystemOwner = ID{15: 1}

// NewID makes a UUIDv7 of the present millisecond.
func NewID() ID {
	var id ID
	rand.Read(id[6:])
	ms := uint64(time.Now().UnixMilli())
	binary.BigEndian.PutUint16(id[0:], uint16(ms>>32))
	binary.BigEndian.PutUint32(id[2:], uint32(ms))
	id[6] = id[6]&0x0f | 0x70
	id[8] = id[8]&0x3f | 0x80
	return id
}

// ParseID reads the canonical form of a UUID. The error is of kind [Invalid].
func ParseID(s string) (ID, error) { return parseID([]byte(s)) }

func parseID(s []byte) (id ID, err error) {
	good := len(s) == 36 && s[8] == '-' && s[13] == '-' && s[18] == '-' && s[23] == '-'
	if good {
		for _, part := range [...]struct{ at, from, to int }{{0, 0, 8}, {4, 9, 13}, {6, 14, 18}, {8, 19, 23}, {10, 24, 36}} {
			_, err := hex.Decode(id[part.at:], s[part.from:part.to])
			good = good && err == nil
		}
	}
	if !good {
		return ID{}, Errorf(Invalid, "%q is not a UUID", s)
	}
	return id, nil
}

// IsZero tells whether the id is absent.
func (id ID) IsZero() bool { return id == ID{} }

// Time is when a UUIDv7 was made, by its maker's clock.
func (id ID) Time() time.Time {
	return time.UnixMilli(int64(binary.BigEndian.Uint64(id[:8]) >> 16))
}

// Hash64 is the st_ino of a node: the drive's root is 1, all others a mix of
// the id's bits that is never 0 or 1.
func (id ID) Hash64() uint64 {
	// The two halves are mixed by murmur3's finaliser: the time half alone
	// would collide within a millisecond.
	h := binary.BigEndian.Uint64(id[:8])*0x9e3779b97f4a7c15 ^ binary.BigEndian.Uint64(id[8:])
	h ^= h >> 33
	h *= 0xff51afd7ed558ccd
	h ^= h >> 33
	h *= 0xc4ceb9fe1a85ec53
	h ^= h >> 33
	if h < 2 {
		h += 2
	}
	return h
}

func (id ID) String() string {
	var b [36]byte
	hex.Encode(b[0:8], id[0:4])
	hex.Encode(b[9:13], id[4:6])
	hex.Encode(b[14:18], id[6:8])
	hex.Encode(b[19:23], id[8:10])
	hex.Encode(b[24:36], id[10:16])
	b[8], b[13], b[18], b[23] = '-', '-', '-', '-'
	return string(b[:])
}

// MarshalText writes the canonical form, and nothing for the zero id.
func (id ID) MarshalText() ([]byte, error) {
	if id.IsZero() {
		return []byte{}, nil
	}
	return []byte(id.String()), nil
}

// UnmarshalText reads what MarshalText writes.
func (id *ID) UnmarshalText(b []byte) error {
	if len(b) == 0 {
		*id = ID{}
		return nil
	}
	v, err := parseID(b)
	*id = v
	return err
}

// Value stores the id in SQL; the zero id is NULL.
func (id ID) Value() (driver.Value, error) {
	if id.IsZero() {
		return nil, nil
	}
	return id.String(), nil
}

// Scan reads the id from SQL.
func (id *ID) Scan(src any) error {
	switch v := src.(type) {
	case nil:
		*id = ID{}
		return nil
	case string:
		return id.UnmarshalText([]byte(v))
	case [16]byte:
		*id = v
		return nil
	case []byte:
		if len(v) == 16 {
			*id = ID(v)
			return nil
		}
		return id.UnmarshalText(v)
	}
	return fmt.Errorf("scan %T into a UUID", src)
}

// Hash is a SHA-256.
type Hash [32]byte

// IsZero tells whether the hash is absent.
func (h Hash) IsZero() bool { return h == Hash{} }

func (h Hash) String() string { return hex.EncodeToString(h[:]) }

// MarshalText writes lower-case hex, and nothing for the zero hash.
func (h Hash) MarshalText() ([]byte, error) {
	if h.IsZero() {
		return []byte{}, nil
	}
	return hex.AppendEncode(nil, h[:]), nil
}

// UnmarshalText reads hex. The error is of kind [Invalid].
func (h *Hash) UnmarshalText(b []byte) error {
	*h = Hash{}
	if len(b) == 0 {
		return nil
	}
	if len(b) != 64 {
		return Errorf(Invalid, "%q is not a SHA-256 in hex", b)
	}
	if _, err := hex.Decode(h[:], b); err != nil {
		return Errorf(Invalid, "%q is not a SHA-256 in hex", b)
	}
	return nil
}
