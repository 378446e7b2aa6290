package cache

import "satchel/api"

// A power loss may take content of which the record is durable, and which was sent without an answer so far. What a program writes to such a file
// began from nothing, and must not go over what the server has of it. So the node's version is one that nobody has, until the server's comes: what is based on it becomes
// a conflict copy. Each loss has another one, since what was written after one loss may be sent, and taken by the next.

// lostVersion makes such a version: a UUID of version 8 (RFC 9562, section 5.8), which no other id is.
func lostVersion() api.ID {
	id := api.NewID()
	id[6] = id[6]&0x0f | 0x80
	return id
}

func isLost(version api.ID) bool { return version[6]>>4 == 8 }

// lost tells whether what a mutation sent of a file is not what is here, because a power loss has taken that.
func (n *node) lost(m *api.Mutation) bool {
	return isLost(n.version) && n.version != m.Base || n.hot == nil && n.version != m.Version.ID
}

// removed is the version with which the server is told of a removal: what was lost here is removed whatever it was.
func (n *node) removed() api.ID {
	if isLost(n.version) {
		return api.ID{}
	}
	return n.version
}

// unlose takes note that a file of which content was lost was not even made yet: what is written to it is no copy of anything. Locked.
func (d *Drive) unlose(t *tx, id api.ID) {
	n, err := d.load(id)
	if err != nil || n == nil {
		return
	}
	if isLost(n.version) {
		n.version, n.sha = api.ID{}, api.Hash{}
		t.node(n)
	}
	d.letGo(n)
}
