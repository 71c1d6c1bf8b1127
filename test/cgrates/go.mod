module januscdr/test/cgrates

go 1.26.0

tool github.com/cgrates/cgrates/cmd/cgr-engine

require (
	cloud.google.com/go v0.41.1-0.20190715155837-570ba224802b // indirect
	github.com/antchfx/xmlquery v1.0.1-0.20190615060324-ebb6e8b1d119 // indirect
	github.com/antchfx/xpath v1.0.1-0.20190715042825-b6dbe470e102 // indirect
	github.com/aws/aws-sdk-go v1.23.18 // indirect
	github.com/cenkalti/hub v1.0.1-0.20160527103212-11382a9960d3 // indirect
	github.com/cenkalti/rpc2 v0.0.0-20180727162946-9642ea02d0aa // indirect
	github.com/cgrates/aringo v0.0.0-20181115151919-f996da7890ea // indirect
	github.com/cgrates/cgrates v0.10.0 // indirect
	github.com/cgrates/fsock v0.0.0-20190623100231-317895b42f1a // indirect
	github.com/cgrates/kamevapi v0.0.0-20191001125829-7dbc3ad58817 // indirect
	github.com/cgrates/ltcache v0.0.0-20181016092649-92fb7fa77cca // indirect
	github.com/cgrates/radigo v0.0.0-20200102144505-ef98592ff532 // indirect
	github.com/cgrates/rpcclient v0.0.0-20200107134035-188454eb71b3 // indirect
	github.com/creack/pty v1.1.7 // indirect
	github.com/fiorix/go-diameter v3.0.3-0.20190716165154-f4823472d0e0+incompatible // indirect
	github.com/fsnotify/fsnotify v1.4.8-0.20190312181446-1485a34d5d57 // indirect
	github.com/go-sql-driver/mysql v1.4.1 // indirect
	github.com/go-stack/stack v1.8.0 // indirect
	github.com/golang/protobuf v1.3.2 // indirect
	github.com/golang/snappy v0.0.1 // indirect
	github.com/googleapis/gax-go/v2 v2.0.5 // indirect
	github.com/gorhill/cronexpr v0.0.0-20180427100037-88b0669f7d75 // indirect
	github.com/hashicorp/golang-lru v0.5.2-0.20190520140433-59383c442f7d // indirect
	github.com/ishidawataru/sctp v0.0.0-20180918013207-6e2cb1366111 // indirect
	github.com/jinzhu/gorm v1.9.10 // indirect
	github.com/jinzhu/inflection v1.0.0 // indirect
	github.com/jmespath/go-jmespath v0.0.0-20180206201540-c2b33e8439af // indirect
	github.com/lib/pq v1.2.0 // indirect
	github.com/mediocregopher/radix.v2 v0.0.0-20181115013041-b67df6e626f9 // indirect
	github.com/miekg/dns v1.1.17 // indirect
	github.com/mitchellh/mapstructure v1.1.2 // indirect
	github.com/nyaruka/phonenumbers v1.0.45 // indirect
	github.com/pkg/errors v0.8.2-0.20190227000051-27936f6d90f9 // indirect
	github.com/segmentio/kafka-go v0.3.3 // indirect
	github.com/streadway/amqp v0.0.0-20190827072141-edfb9018d271 // indirect
	github.com/ugorji/go v0.0.0-20171112025056-5a66da2e74af // indirect
	github.com/xdg/scram v0.0.0-20180814205039-7eeb5667e42c // indirect
	github.com/xdg/stringprep v1.0.1-0.20180714160509-73f8eece6fdc // indirect
	go.mongodb.org/mongo-driver v1.1.1 // indirect
	go.opencensus.io v0.22.1-0.20190713072201-b4a14686f0a9 // indirect
	golang.org/x/crypto v0.0.0-20190829043050-9756ffdc2472 // indirect
	golang.org/x/net v0.0.0-20190909003024-a7b16738d86b // indirect
	golang.org/x/oauth2 v0.0.0-20190604053449-0f29369cfe45 // indirect
	golang.org/x/sync v0.0.0-20190423024810-112230192c58 // indirect
	golang.org/x/sys v0.0.0-20190904154756-749cb33beabd // indirect
	golang.org/x/text v0.3.2 // indirect
	google.golang.org/api v0.10.0 // indirect
	google.golang.org/appengine v1.6.1 // indirect
	google.golang.org/genproto v0.0.0-20190708153700-3bdd9d9f5532 // indirect
	google.golang.org/grpc v1.21.1 // indirect
	pack.ag/amqp v0.12.2 // indirect
)
