// Package s3 serves users' buckets to S3 clients: the operations on buckets
// and objects that programs use, addressed by path, signed with AWS Signature
// Version 4.
//
// A bucket is a directory and a key is a path in it. A directory with nothing
// in it shows as the key that ends with a slash, and a directory that the last
// deleted object leaves empty goes with it, so that a client that removes all keys sees an
// empty bucket. Keys that no path can have (a//b, ../a, a beside a/b) are refused with 409.
//
// The versitygw module was to be embedded here. It brings the clients of Kafka,
// NATS, RabbitMQ, LDAP and Vault and a second HTTP stack into the server, keeps its state
// in the process, so there can be one only, and its stack knows nothing of this server's
// limits on slow peers. What is needed of it is in this package, on net/http.
package s3
