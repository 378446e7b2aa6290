package dav

import (
	"encoding/xml"
	"net/http"
	"slices"
	"strconv"
	"time"

	"golang.org/x/net/webdav"

	"satchel/api"
	"satchel/storage"
)

const davSpace = "DAV:"

// atOnce is how many bytes of dead properties are read at once, unless one node has more.
const atOnce = 4 << 20

// remark notes how many bytes of dead properties the nodes have that were listed, in their order; those that have none are
// not among the sizes.
func (q *request) remark(ids []api.ID, sizes map[api.ID]int64) {
	if q.said == nil {
		q.said, q.after = map[api.ID]int64{}, map[api.ID][]api.ID{}
	}
	ids = slices.DeleteFunc(ids, func(id api.ID) bool {
		q.said[id] = sizes[id]
		return sizes[id] == 0
	})
	for i, id := range ids {
		q.after[id] = ids[i+1:]
	}
}

// dead is the dead properties of a node. It reads those of the nodes that come after it in a list as well, and forgets those before.
func (q *request) dead(of *storage.Drive, node api.ID) ([]storage.Property, error) {
	if bytes, listed := q.said[node]; listed && bytes == 0 {
		return nil, nil
	}
	if props, ok := q.props[node]; ok {
		return props, nil
	}
	all, err := of.Properties(q.ctx, q.batch(node))
	if err != nil {
		q.refuse(err, 0)
		return nil, err
	}
	q.props = map[api.ID][]storage.Property{node: nil}
	for _, p := range all {
		q.props[p.Node] = append(q.props[p.Node], p)
	}
	return q.props[node], nil
}

// batch is a node and as many of those after it as may be read with it.
func (q *request) batch(node api.ID) []api.ID {
	batch, bytes := []api.ID{node}, q.said[node]
	for _, next := range q.after[node] {
		if bytes += q.said[next]; bytes > atOnce {
			break
		}
		batch = append(batch, next)
	}
	return batch
}

// DeadProps is part of [webdav.DeadPropsHolder]. x/net looks here first, so the
// live properties that it lacks are here too.
func (f *file) DeadProps() (map[xml.Name]webdav.Property, error) {
	q := f.q
	self := q.find(f.name, true)
	dead, err := q.dead(self.Drive, f.node.ID)
	if err != nil {
		return nil, err
	}
	props := map[xml.Name]webdav.Property{}
	for _, p := range dead {
		name := xml.Name{Space: p.Space, Local: p.Name}
		props[name] = webdav.Property{XMLName: name, Lang: p.Lang, InnerXML: []byte(p.Value)}
	}
	live := func(local, value string) {
		name := xml.Name{Space: davSpace, Local: local}
		props[name] = webdav.Property{XMLName: name, InnerXML: []byte(value)}
	}
	discovery := "" // where only its name is told, or it is not at all
	if q.told {
		locks, err := q.loadLocks()
		if err != nil {
			return nil, err
		}
		discovery = q.discovery(covering(locks, self.lockPath()))
	}
	live("creationdate", time.Unix(0, f.node.Btime).UTC().Format(time.RFC3339))
	live("lockdiscovery", discovery)
	if q.quota && f.IsDir() {
		used, free, err := self.Drive.Space(q.ctx)
		if err != nil {
			q.refuse(err, 0)
			return nil, err
		}
		live("quota-used-bytes", strconv.FormatInt(used, 10))
		if free >= 0 { // without a quota there is no such property (RFC 4331 section 3)
			live("quota-available-bytes", strconv.FormatInt(free, 10))
		}
	}
	return props, nil
}

// Patch is part of [webdav.DeadPropsHolder].
func (f *file) Patch(patches []webdav.Proppatch) ([]webdav.Propstat, error) {
	var names, protected []webdav.Property
	var all []storage.PropertyPatch
	for _, patch := range patches {
		for _, p := range patch.Props {
			name := webdav.Property{XMLName: p.XMLName}
			if p.XMLName.Space == davSpace && (p.XMLName.Local == "quota-used-bytes" || p.XMLName.Local == "quota-available-bytes") {
				protected = append(protected, name)
				continue
			}
			names = append(names, name)
			all = append(all, storage.PropertyPatch{Remove: patch.Remove, Property: storage.Property{
				Space: p.XMLName.Space, Name: p.XMLName.Local, Lang: p.Lang, Value: string(p.InnerXML),
			}})
		}
	}
	if n := len(names) + len(protected); n > storage.MaxProperties {
		f.q.refuse(api.Errorf(api.TooLarge, "a PROPPATCH has at most %d properties", storage.MaxProperties), 0)
		return nil, f.q.err
	}
	if len(protected) > 0 {
		stats := []webdav.Propstat{{Status: http.StatusForbidden, Props: protected, XMLError: `<D:cannot-modify-protected-property xmlns:D="DAV:"/>`}}
		if len(names) > 0 {
			stats = append(stats, webdav.Propstat{Status: webdav.StatusFailedDependency, Props: names})
		}
		return stats, nil
	}
	err := f.q.held(f.q.find(f.name, true).Drive).PatchProperties(f.q.ctx, f.node.ID, all)
	switch api.KindOf(err) {
	case "":
		f.q.done()
		return []webdav.Propstat{{Status: http.StatusOK, Props: names}}, nil
	case api.TooLarge, api.Invalid:
		return []webdav.Propstat{{Status: webdav.StatusInsufficientStorage, Props: names, ResponseDescription: err.Error()}}, nil
	}
	f.q.refuse(err, 0)
	return nil, err
}
