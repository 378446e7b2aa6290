// Package backup saves a whole installation, and brings it back.
//
// A backup is a stream: all rows as they were at one moment, table by table,
// and the content that they name, pack by pack; in the end the SHA-256 of all
// of it. In a blob store it is an object with the rows, an object for each
// pack, under the pack's own name, so that the next backup there copies only
// what is new, and last of all a small object that names the first: what it
// does not name is no backup.
//
// Nobody waits for a backup. Rows are read in one REPEATABLE READ transaction,
// packs never change, and garbage collection is kept from deleting any until
// all are copied.
//
// A restore is one transaction of the database. Content comes before its
// commit, so it dies without a trace but for objects that the next try finds and
// compares. Every drive gets a new epoch, by which clients notice.
package backup
