package s3

import (
	"context"
	"net"
	"net/http"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"
	service "github.com/aws/aws-sdk-go-v2/service/s3"

	"satchel/api"
)

// connect makes the SDK's client. Nothing is sent to the bucket yet.
func connect(ctx context.Context, l Location, limits limits) (*service.Client, error) {
	options := []func(*config.LoadOptions) error{
		config.WithHTTPClient(httpClient(limits.stall)),
		config.WithRequestChecksumCalculation(aws.RequestChecksumCalculationWhenRequired),
		config.WithResponseChecksumValidation(aws.ResponseChecksumValidationWhenRequired),
		config.WithRetryer(func() aws.Retryer { return retryer(limits) }),
	}
	if l.Region != "" {
		options = append(options, config.WithRegion(l.Region))
	}
	c, err := config.LoadDefaultConfig(ctx, options...)
	if err != nil {
		return nil, api.Errorf(api.Invalid, "read the AWS configuration: %w", err)
	}
	if c.Region == "" {
		if l.Endpoint == "" {
			return nil, api.Errorf(api.Invalid, "the bucket's region is not known: add ?region=NAME, or set AWS_REGION")
		}
		c.Region = "us-east-1" // goes into signatures; most servers take any
	}
	if _, err := c.Credentials.Retrieve(ctx); err != nil {
		return nil, api.Errorf(api.Unavailable, "there are no credentials for %s: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or a profile (AWS_PROFILE), or give the machine a role: %w", l, err)
	}
	return service.NewFromConfig(c, func(o *service.Options) {
		if l.Endpoint != "" {
			o.BaseEndpoint = &l.Endpoint
			o.UsePathStyle = true
		}
		if limits.wrap != nil {
			o.HTTPClient = limits.wrap(o.HTTPClient)
		}
	}), nil
}

// retryer repeats requests with exponential backoff and full jitter, and fewer
// of them the more fail.
func retryer(limits limits) aws.Retryer {
	return retry.NewStandard(func(o *retry.StandardOptions) {
		o.MaxAttempts = limits.attempts
		o.MaxBackoff = limits.backoff
		o.Retryables = append(o.Retryables, retry.IsErrorRetryableFunc(func(err error) aws.Ternary {
			if unreachable(err) || status(err) == http.StatusTooManyRequests {
				return aws.TrueTernary
			}
			return aws.UnknownTernary
		}))
	})
}

func httpClient(stall time.Duration) aws.HTTPClient {
	dialer := &net.Dialer{Timeout: min(10*time.Second, stall), KeepAlive: 15 * time.Second}
	return awshttp.NewBuildableClient().WithTransportOptions(func(t *http.Transport) {
		t.MaxIdleConnsPerHost = 32
		t.MaxIdleConns = 0
		t.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
			c, err := dialer.DialContext(ctx, network, address)
			if err != nil {
				return nil, err
			}
			return &stallConn{c, stall}, nil
		}
	})
}

// stallConn breaks a connection on which nothing has moved for a while, so
// that a peer that vanished or hangs ends a request in any of its phases,
// however long the whole may take.
type stallConn struct {
	net.Conn
	limit time.Duration
}

func (c *stallConn) Read(b []byte) (int, error) {
	if err := c.SetReadDeadline(time.Now().Add(c.limit)); err != nil {
		return 0, err
	}
	return c.Conn.Read(b)
}

// Write moves the deadline of a waiting Read too: net/http waits for the answer
// while it still sends.
func (c *stallConn) Write(b []byte) (int, error) {
	if err := c.SetDeadline(time.Now().Add(c.limit)); err != nil {
		return 0, err
	}
	return c.Conn.Write(b)
}
