package server

import (
	"context"
	"net/http"
	"strconv"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"satchel/api"
	"satchel/api/auth"
	"satchel/storage"
)

type DocumentInput struct {
	InDrive
	Document api.ID `path:"document"`
}

type versionInput struct {
	DocumentInput
	Version api.ID `path:"version"`
}

type trashInput struct {
	InDrive
	Before int64 `query:"before" minimum:"0" doc:"Only what was deleted before this change; 0: from the last one on"`
	Limit  int   `query:"limit" default:"100" minimum:"1" maximum:"1000"`
}

type restoreTrashInput struct {
	InDrive
	Body struct {
		Node api.ID `json:"node"`
	}
}

type restoreDriveInput struct {
	InDrive
	Body struct {
		At     string `json:"at" doc:"A time (RFC 3339), or the number of a change"`
		DryRun bool   `json:"dry_run,omitempty" doc:"Only tell what it would take, and change nothing"`
	}
}

// historyRoutes adds what brings the past back.
func (s *server) historyRoutes(v1 huma.API) {
	onDrive(s, v1, get("versions", "/drives/{drive}/documents/{document}/versions", "A file's versions, the newest first"),
		func(ctx context.Context, d *storage.Drive, in DocumentInput) ([]api.FileVersion, error) {
			versions, err := d.Versions(ctx, in.Document)
			for i := range versions {
				versions[i].DeviceName = auth.BrowserName(versions[i].DeviceName)
			}
			return notNil(versions), err
		})
	onDrive(s, v1, post("restore-version", "/drives/{drive}/documents/{document}/versions/{version}/restore", "Make a version the current one again"),
		func(ctx context.Context, d *storage.Drive, in versionInput) (api.Node, error) {
			return d.RestoreVersion(ctx, in.Document, in.Version)
		})
	onDrive(s, v1, get("trash", "/drives/{drive}/trash", "What was deleted, the last first"),
		func(ctx context.Context, d *storage.Drive, in trashInput) (api.TrashPage, error) {
			page, err := d.Trash(ctx, in.Before, in.Limit)
			for i := range page.Items {
				page.Items[i].DeviceName = auth.BrowserName(page.Items[i].DeviceName)
			}
			page.Items = notNil(page.Items)
			return page, err
		})
	onDrive(s, v1, post("restore-trash", "/drives/{drive}/trash/restore", "Bring a deleted file or tree back"),
		func(ctx context.Context, d *storage.Drive, in restoreTrashInput) (api.Restored, error) {
			return d.RestoreTrash(ctx, in.Body.Node)
		})
	empty := huma.Operation{OperationID: "empty-trash", Method: http.MethodDelete, Path: "/v1/drives/{drive}/trash", Summary: "Remove what is in the trash for good"}
	onDrive(s, v1, empty, func(ctx context.Context, d *storage.Drive, _ InDrive) (api.Emptied, error) {
		return d.EmptyTrash(ctx)
	})
	onDrive(s, v1, post("restore-drive", "/drives/{drive}/restore", "Make the whole drive what it was at a time"),
		func(ctx context.Context, d *storage.Drive, in restoreDriveInput) (api.Restored, error) {
			point, err := parsePoint(in.Body.At)
			if err != nil {
				return api.Restored{}, err
			}
			return d.RestoreAt(ctx, point, in.Body.DryRun)
		})
}

// parsePoint reads a point in a drive's past.
func parsePoint(at string) (api.Point, error) {
	if seq, err := strconv.ParseInt(at, 10, 64); err == nil && seq >= 0 {
		return api.Point{Seq: seq}, nil
	}
	t, err := time.Parse(time.RFC3339, at)
	if err != nil || t.IsZero() {
		return api.Point{}, api.Errorf(api.Invalid, "%q is neither a time such as 2006-01-02T15:04:05Z nor the number of a change", at)
	}
	return api.Point{Time: t}, nil
}
