package s3

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"lifeboat/internal/storage"
	"lifeboat/internal/storage/transport"
)

// Options says how object storage is used.
type Options struct {
	storage.Options
	Transport transport.Options

	// Region is the bucket's; empty takes AWS_REGION or AWS_DEFAULT_REGION, else
	// the server is asked.
	Region string
	// StorageClass of new objects, such as STANDARD_IA; empty for the bucket's.
	StorageClass string
	// Lock keeps new objects from being removed for a time. The bucket must have
	// object lock.
	Lock Lock
	// Lookup says where the bucket's name stands in a request: "dns" in the
	// host's name, "path" in the path, "auto" or empty as the host needs it.
	Lookup string

	// AccessKey, SecretKey and SessionToken are taken before all else.
	AccessKey, SecretKey, SessionToken string
	// CredentialsFile is a file in the form of ~/.aws/credentials; empty takes
	// AWS_SHARED_CREDENTIALS_FILE or that file. Profile is the section in it;
	// empty takes AWS_PROFILE or "default".
	CredentialsFile, Profile string
}

func (o Options) region() string {
	for _, region := range []string{o.Region, os.Getenv("AWS_REGION"), os.Getenv("AWS_DEFAULT_REGION")} {
		if region != "" {
			return region
		}
	}
	return ""
}

func (o Options) lookup() (minio.BucketLookupType, error) {
	switch o.Lookup {
	case "", "auto":
		return minio.BucketLookupAuto, nil
	case "dns":
		return minio.BucketLookupDNS, nil
	case "path":
		return minio.BucketLookupPath, nil
	}
	return 0, fmt.Errorf("bucket lookup %q; it is auto, dns or path", o.Lookup)
}

// credentials looks for keys in the options, in the environment and in the
// shared file, in this order. Only a machine of AWS is asked for its role.
func (o Options) credentials(place Place, tr http.RoundTripper) (*credentials.Credentials, error) {
	if o.AccessKey != "" || o.SecretKey != "" {
		if o.AccessKey == "" || o.SecretKey == "" {
			return nil, errors.New("an access key without its secret key, or the reverse")
		}
		return credentials.NewStaticV4(o.AccessKey, o.SecretKey, o.SessionToken), nil
	}
	providers := []credentials.Provider{
		&credentials.EnvAWS{},
		&credentials.FileAWSCredentials{Filename: o.CredentialsFile, Profile: o.Profile},
	}
	host, _, _ := strings.Cut(place.Endpoint, ":")
	aws := strings.HasSuffix(host, ".amazonaws.com") || strings.HasSuffix(host, ".amazonaws.com.cn")
	if aws {
		providers = append(providers, &credentials.IAM{})
	}
	creds := credentials.NewChainCredentials(providers)
	if aws {
		return creds, nil
	}
	got, err := creds.GetWithContext(&credentials.CredContext{Client: &http.Client{Transport: tr}})
	if err != nil {
		return nil, fmt.Errorf("credentials: %w", err)
	}
	if got.AccessKeyID == "" || got.SecretAccessKey == "" {
		return nil, errors.New("no access key was found; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or write a credentials file and name its profile in AWS_PROFILE")
	}
	return creds, nil
}
