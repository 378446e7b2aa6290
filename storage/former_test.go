package storage

import (
	"testing"

	"satchel/api"
)

// What a device has to know of a restore its owner's and a guest's are told: which epochs the drive had, and up to which change.
func TestFormerEpochsAreTold(t *testing.T) {
	g := newGuestDevice(t, "read", "list")
	was := g.s.home.info(t)
	_, err := g.s.world.admin.Exec(t.Context(), `UPDATE satchel.drives SET epoch = gen_random_uuid() WHERE id = $1`, was.ID.String())
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range []*drive{g.s.home, g.drive} {
		info := d.info(t)
		if len(info.Former) != 1 || info.Former[0] != (api.Former{Epoch: was.Epoch, Seq: was.Seq}) || info.Epoch == was.Epoch {
			t.Errorf("the drive is %+v; it was %+v", info, was)
		}
	}
}
