// Package dav serves a user's home drive over WebDAV (RFC 4918, classes 1 and
// 2) to programs that mount it or copy to and from it.
//
// golang.org/x/net/webdav knows the protocol; what it asks for is a file system and
// a lock system, and here one [request] is both: it lives as long as the HTTP
// request, is bound to the caller's drive, and remembers what it has looked up, so that
// listing a directory takes a few queries and not some for each file. It also knows
// the method, and so turns the steps of that package into what is one step here: a COPY
// or MOVE is one transaction, and a copy moves no bytes.
//
// Three things are done in this package alone: GET, which streams from the blob store;
// LOCK and UNLOCK, because x/net knows no shared locks; and If headers, of
// which it understands a part.
package dav
