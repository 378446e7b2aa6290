// Package cache is the client's side of a drive: local first. Every call is
// answered from this machine, everything is journalled, and the network works
// behind it.
//
// # The parts
//
// The replica (store.go, record.go, tree.go, listing.go) keeps node and entry
// records in Pebble and decoded nodes in memory. A directory is fetched whole
// on first use and marked complete; the change feed then keeps it so, and a
// missing name is a local "not found". What of it the kernel may remember is bounded (remembered.go).
//
// The journal (journal.go) holds the mutations that the server has not
// acknowledged. A call that changes something writes its records and its
// mutation in one Pebble batch. What is local equals what the server last said with the pending
// mutations replayed on it (remote.go).
//
// The content store (content.go, slots.go) keeps one local file per cached version,
// named by a recycled slot number. The kernel reads and writes these files itself
// (FUSE passthrough), unseen by this process, so dirty.go decides by record, ctime
// and lease when content is final.
//
// The syncer (syncer.go, upload.go, outcome.go, feed.go) sends content and mutations
// and applies what the server says. One goroutine owns all application of the
// server's words; it alone decides the order.
//
// # Locking
//
// Drive.mu guards the tree, the journal and all fields of nodes and contents.
// It is held for microseconds: never over the network, never over closing,
// truncating or hashing a content file. Functions whose comment says "locked"
// expect it held. The kernel is notified by one goroutine without any lock (notify.go).
package cache
