// Package api is Satchel's vocabulary: the nouns that client, cache and server
// share, and the JSON in which they cross the wire under /v1.
//
// A drive is one tree of nodes with one owner. A [Node] is an inode: file,
// directory, symlink, FIFO, socket or device. An entry is a name in a
// directory that points to a node; several entries may point to one file. The
// content of a file is an immutable [Version]: an ordered list of chunks named
// by their SHA-256. A [Mutation] is one change as a client journals it and the
// server applies it; the server answers each with an [Outcome]. Everything
// that a device learns from the server arrives as a [State]: nodes and entries
// as they were at one point of the drive's total order.
//
// The package imports the standard library only, so that every layer may
// import it.
package api
