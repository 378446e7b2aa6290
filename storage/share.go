package storage

import (
	"context"
	"slices"
	"strings"

	"satchel/api"
	"satchel/storage/postgres"
)

func errNotYours() error {
	return api.Errorf(api.Permission, "only the drive's owner may do this")
}

// needs is what a guest must hold to make changes, besides what he makes
// himself on the way: a directory's permissions count for what is in it.
func needs(batch []api.Mutation) []postgres.Need {
	var all []postgres.Need
	made := map[api.ID]bool{}
	seen := map[postgres.Need]bool{}
	for _, m := range batch {
		for _, n := range needsOf(m) {
			if !made[n.Node] && !seen[n] {
				seen[n] = true
				all = append(all, n)
			}
		}
		if m.Op == api.OpCreate {
			made[m.Node] = true
		}
	}
	return all
}

// needsOf is what a guest must hold to make one change.
func needsOf(m api.Mutation) (all []postgres.Need) {
	add := func(node api.ID, anyOf api.Permissions) { all = append(all, postgres.Need{Node: node, AnyOf: anyOf}) }
	content := func(node api.ID) { add(node, api.PermRead); add(node, api.PermWrite) }
	switch m.Op {
	case api.OpCreate:
		if m.Attr != nil && m.Attr.Type == api.Directory {
			add(m.Parent, api.PermMkdir)
		} else {
			add(m.Parent, api.PermWrite)
		}
	case api.OpLink: // another name may be in other hands
		add(m.Node, api.PermCopy)
		content(m.Node)
		add(m.Parent, api.PermWrite)
	case api.OpUnlink, api.OpRmdir:
		add(m.Parent, api.PermDelete)
	case api.OpRename:
		add(m.Parent, api.PermRename)
		if m.ToParent != m.Parent { // it may be in other hands there
			content(m.Parent)
			add(m.ToParent, api.PermRename|api.PermWrite|api.PermMkdir)
		}
		if !m.Replaces.IsZero() {
			add(m.ToParent, api.PermDelete|api.PermWrite)
		}
	case api.OpExchange:
		add(m.Parent, api.PermRename)
		add(m.ToParent, api.PermRename)
		if m.ToParent != m.Parent {
			content(m.Parent)
			content(m.ToParent)
		}
	default: // write, setattr
		add(m.Node, api.PermWrite)
	}
	if !m.Heir.IsZero() {
		add(m.Heir, api.PermWrite)
	}
	return all
}

// Permissions is what the caller may do at a live node: everything in his own
// drive. A node that he does not see is [api.NotFound].
func (d *Drive) Permissions(ctx context.Context, node api.ID) (p api.Permissions, err error) {
	err = d.snapshot(ctx, func(ctx context.Context, tx *postgres.Tx) error {
		if p, err = tx.Permissions(ctx, d.id, node); err == nil && p == 0 {
			err = errNoNode()
		}
		return err
	})
	return p, err
}

// holding refuses a guest ([api.Permission]) who does not hold one of each of some permissions on a node that he sees.
func (d *Drive) holding(ctx context.Context, tx *postgres.Tx, node api.ID, anyOf ...api.Permissions) error {
	if d.own() {
		return nil
	}
	needs := make([]postgres.Need, len(anyOf))
	for i, p := range anyOf {
		needs[i] = postgres.Need{Node: node, AnyOf: p}
	}
	held, err := tx.Holds(ctx, d.id, needs)
	if err != nil {
		return err
	}
	if i := slices.Index(held, false); i >= 0 {
		return api.Errorf(api.Permission, "you may not %s here", strings.Join(anyOf[i].Names(), " or "))
	}
	return nil
}

// MayList is [api.Permission] for a guest who may not list a directory.
func (d *Drive) MayList(ctx context.Context, dir api.ID) error {
	if d.own() {
		return nil
	}
	return d.snapshot(ctx, func(ctx context.Context, tx *postgres.Tx) error { return d.holding(ctx, tx, dir, api.PermList) })
}

// Grants lists who has what in the drive, by path, for those who decide that:
// its owner, and admins for system drives. All others have [api.Permission].
func (d *Drive) Grants(ctx context.Context) ([]api.Grant, error) {
	all, err := d.Shares(ctx)
	grants := make([]api.Grant, len(all))
	for i, g := range all {
		grants[i] = g.Grant
	}
	return grants, err
}

// Grant adds permissions to what principals have on paths; all of the grants
// or none. A missing path or user is [api.NotFound], an unknown principal [api.Invalid].
func (d *Drive) Grant(ctx context.Context, grants ...api.Grant) error {
	return d.eachGrant(ctx, grants, (*postgres.Tx).Grant)
}

// Revoke takes permissions away from principals; without any, all that they
// have on the path itself. A grant that is not there is [api.NotFound].
func (d *Drive) Revoke(ctx context.Context, grants ...api.Grant) error {
	grants = slices.Clone(grants)
	for i := range grants {
		if grants[i].Permissions == 0 {
			grants[i].Permissions = api.AllPermissions
		}
	}
	return d.eachGrant(ctx, grants, (*postgres.Tx).Revoke)
}

// Granted is a grant, for those who decide about it.
type Granted struct {
	api.Grant
	Address string // by which its owner named the user, if he did
}

// Shares is [Drive.Grants] with whom they name.
func (d *Drive) Shares(ctx context.Context) (all []Granted, err error) {
	err = d.snapshot(ctx, func(ctx context.Context, tx *postgres.Tx) error {
		yes, err := tx.DecidesGrants(ctx, d.id)
		if err == nil && !yes {
			err = errNotYours()
		}
		if err != nil {
			return err
		}
		rows, err := tx.Grants(ctx, d.id)
		if err != nil {
			return err
		}
		named, err := tx.GrantAddresses(ctx, d.id)
		addresses := map[postgres.GrantAddress]string{}
		for _, a := range named {
			addresses[postgres.GrantAddress{Node: a.Node, Principal: a.Principal}] = a.Address
		}
		all = make([]Granted, len(rows))
		for i, row := range rows {
			all[i] = Granted{row.Grant, addresses[postgres.GrantAddress{Node: row.Node, Principal: row.UserID}]}
		}
		return err
	})
	return all, err
}

// ShareWith lets the user of an address have exactly these permissions on a path, whatever he had
// there before; none end it. A missing path or user is [api.NotFound], and so is a share that is to be ended and is not there.
func (d *Drive) ShareWith(ctx context.Context, path []api.Name, user api.ID, address string, p api.Permissions) error {
	if p < 0 || p > api.AllPermissions {
		return errNoPermissions()
	}
	return d.deciding(ctx, func(ctx context.Context, tx *postgres.Tx) error {
		n, err := d.lookup(ctx, tx, path)
		if err != nil {
			return err
		}
		err = tx.Revoke(ctx, d.id, n.ID, user.String(), api.AllPermissions&^p)
		if p == 0 {
			return err
		}
		if api.KindOf(err) == api.NotFound { // he had none
			err = nil
		}
		if err == nil {
			err = tx.Grant(ctx, d.id, n.ID, user.String(), p)
		}
		if err == nil && address != "" {
			err = tx.AddressGrant(ctx, d.id, n.ID, user, address)
		}
		return err
	})
}

// deciding runs fn for those who decide who else may use the drive; all others have [api.Permission].
func (d *Drive) deciding(ctx context.Context, fn func(context.Context, *postgres.Tx) error) error {
	return d.as(ctx, func(ctx context.Context, tx *postgres.Tx) error {
		yes, err := tx.DecidesGrants(ctx, d.id)
		if err == nil && !yes {
			err = errNotYours()
		}
		if err != nil {
			return err
		}
		return fn(ctx, tx)
	})
}

func (d *Drive) eachGrant(ctx context.Context, grants []api.Grant,
	do func(tx *postgres.Tx, ctx context.Context, drive, node api.ID, principal string, p api.Permissions) error) error {
	return d.deciding(ctx, func(ctx context.Context, tx *postgres.Tx) error {
		for _, g := range grants {
			principal, err := principalOf(g)
			if err != nil {
				return err
			}
			path, err := api.ParsePath(g.Path)
			if err != nil {
				return err
			}
			n, err := d.lookup(ctx, tx, path)
			if err != nil {
				return err
			}
			if err := do(tx, ctx, d.id, n.ID, principal, g.Permissions); err != nil {
				return err
			}
		}
		return nil
	})
}

// principalOf is who gets a grant, as the database writes it: an id is the same in capitals.
func principalOf(g api.Grant) (string, error) {
	if g.Permissions <= 0 || g.Permissions > api.AllPermissions {
		return "", errNoPermissions()
	}
	if g.UserID == api.Anonymous || g.UserID == api.Authenticated {
		return g.UserID, nil
	}
	id, err := api.ParseID(g.UserID)
	if err != nil {
		return "", api.Errorf(api.Invalid, "userId is %s, %s or a user's id", api.Anonymous, api.Authenticated)
	}
	return id.String(), nil
}

func errNoPermissions() error {
	return api.Errorf(api.Invalid, "a grant gives some of %q", api.AllPermissions.Names())
}
