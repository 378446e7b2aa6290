package api

import "time"

// Login asks for a session of one device.
type Login struct {
	Email    string `json:"email"`
	Password string `json:"password"`
	Device   string `json:"device"` // a name for people, such as the host's
}

// Credentials answers a login. The secret does not expire, but can be
// revoked; it buys short-lived tokens.
type Credentials struct {
	User   ID     `json:"user"`
	Email  string `json:"email"`
	Name   string `json:"name"`
	Role   string `json:"role"` // editor or admin
	Device ID     `json:"device"`
	Secret string `json:"secret"`
	Token  Token  `json:"token"`
}

// DeviceCode answers a device that asks to log in without a password (RFC
// 8628): somebody confirms UserCode on the server's page /device, and the device
// asks with Secret whether that has happened.
type DeviceCode struct {
	Secret   string `json:"device_code"`
	UserCode string `json:"user_code"`  // to be shown
	Expires  int    `json:"expires_in"` // seconds
	Interval int    `json:"interval"`   // seconds between two questions, at least
}

// What became of a device's wish to log in.
const (
	DevicePending = "pending"
	DeviceSlow    = "slow" // pending, and it asks too often
	DeviceDenied  = "denied"
	DeviceExpired = "expired"
	DeviceAllowed = "allowed"
)

// DeviceAnswer is what became of a device's wish to log in. The credentials
// of an allowed one are told once.
type DeviceAnswer struct {
	State       string       `json:"state"`
	Credentials *Credentials `json:"credentials,omitempty"`
}

// Token is a JWT for the Authorization header.
type Token struct {
	Token   string    `json:"token"`
	Expires time.Time `json:"expires"`
}

// Device is one login of one client.
type Device struct {
	ID      ID        `json:"id"`
	Name    string    `json:"name"`
	Created time.Time `json:"created"`
	Seen    time.Time `json:"seen"`
	Current bool      `json:"current"` // the caller's own
}

// AppPassword is a password for one program that knows no tokens, such as a
// WebDAV client. It is a login of its own, so it can be revoked alone.
type AppPassword struct {
	ID       ID        `json:"id"`
	Name     string    `json:"name"` // of the program, for people
	Created  time.Time `json:"created"`
	Seen     time.Time `json:"seen,omitzero"`      // last used, to the minute; zero: never
	Password string    `json:"password,omitempty"` // shown when it is made, and never again
}

// AccessKey is a pair with which an S3 client signs. It is a login of its own,
// so it can be revoked alone.
type AccessKey struct {
	Key     string    `json:"key"`
	Name    string    `json:"name"` // of the program, for people
	Created time.Time `json:"created"`
	Rotated time.Time `json:"rotated"`          // when the present secret was made
	Seen    time.Time `json:"seen,omitzero"`    // last used, to the minute; zero: never
	Secret  string    `json:"secret,omitempty"` // shown when it is made or rotated, and never again
}
