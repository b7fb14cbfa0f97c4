//! Every error code of the workspace: one line each, in the order of their numbers.
//!
//! A new code is a line here and a page with the same title in `docs/reference/codes.md`; a test of `harmony_cli` compares
//! the two. A code means one thing and keeps its meaning: a number is never used again for something else.
//!
//! | codes | area |
//! | --- | --- |
//! | H00xx | the run itself: cancelled, usage |
//! | H01xx | building images |
//! | H02xx | registries, images and charts in them, release tags |
//! | H03xx | clusters: apply, readiness, smoke checks |
//! | H04xx | the local node |
//! | H05xx | releases: versions, work tree, charts |
//! | H06xx | the fleet's own Scores |

use crate::diagnostic::Code;

/// Declares the constants and [`ALL`]. Numbers that do not ascend do not compile.
macro_rules! codes {
    ($($name:ident = $number:literal, $title:literal;)+) => {
        $(
            #[doc = concat!("H", stringify!($number), ": ", $title)]
            pub const $name: Code = Code::new($number);
        )+

        /// Every code with its title, in the order of the numbers.
        pub const ALL: &[(Code, &str)] = &[$(($name, $title)),+];

        const _: () = {
            let numbers = [$($number),+];
            let mut at = 1;
            while at < numbers.len() {
                assert!(numbers[at - 1] < numbers[at], "codes must ascend, each once");
                at += 1;
            }
        };
    };
}

codes! {
    // The run itself
    CANCELLED = 1, "the run was cancelled";
    USAGE = 2, "the command line asks for something that does not exist";
    UNKNOWN_TOPOLOGY = 3, "there is no topology of that name";
    NO_SCORE_MATCHES = 4, "no Score matches the filter";
    DELETIONS_NOT_APPROVED = 5, "nobody agreed to the deletions";
    UNKNOWN_COMMAND = 6, "harmony has no such command";
    COMMAND_NOT_STARTED = 7, "a command of harmony cannot be started";
    PROGRAM_SETUP = 8, "the program does not say what it is about";
    WHICH_RELEASE = 9, "a deploy does not say which release";
    APP_NOT_FOUND = 10, "no program of the app is on PATH";
    NOT_A_RELEASE_TAG = 11, "this is not the tag of a release";
    // Building images
    DOCKERFILE_UNSUPPORTED = 101, "the builder cannot run a Dockerfile";
    HOST_STEP_FAILED = 102, "a program failed while an image was built";
    PROGRAM_MISSING = 103, "a program that the build needs is not installed";
    IMAGE_FILE_UNREADABLE = 104, "a file for the image cannot be read";
    IMAGE_NOT_WRITTEN = 105, "the image cannot be written";
    RECIPE_INVALID = 106, "the recipe of an image is not valid";
    BUILD_DAEMON_FAILED = 107, "a build daemon failed";
    NO_CACHE_DIR = 130, "there is no place for cached files";
    CACHE_DIR_UNTRUSTED = 131, "the cache cannot be trusted";
    CACHE_DIR_UNUSABLE = 132, "the folder for cached files cannot be used";
    GO_MOD_DIRECTIVES = 133, "Go does not install a module by its version";
    PROGRAM_CANNOT_START = 134, "the program of an image cannot start in it";

    // Registries, images and charts
    REGISTRY_UNREACHABLE = 201, "the registry cannot be reached";
    REGISTRY_UNTRUSTED = 202, "the certificate of the registry is not trusted";
    REGISTRY_DENIED = 203, "the registry denies it";
    VERSION_TAKEN = 204, "the version is published with other content";
    REGISTRY_ANSWER = 205, "the registry answers with an error";
    REGISTRY_FULL = 206, "there is no room in the registry";
    BUILT_UNREADABLE = 207, "the image or chart to push cannot be read";
    NOT_IN_REGISTRY = 208, "the image or chart does not exist";
    REGISTRY_UNNAMED = 209, "no usable registry is named";
    CA_FILE_UNREADABLE = 220, "the file of certificate authorities cannot be read";
    CA_FILE_INVALID = 221, "the file holds no certificate";
    TLS_SETUP = 222, "TLS cannot be set up";
    HALF_CREDENTIALS = 223, "half of the credentials is missing";
    OTHER_REGISTRY = 224, "the name lies in another registry";
    NO_TAG = 225, "the image has neither a tag nor a digest";
    OTHER_DIGEST = 226, "the name holds the digest of another image";
    NOT_IN_LAYOUT = 227, "the image is not where this registry can read it";
    PLANNED_NOT_BUILT = 228, "the image was planned, not built";
    OTHER_CHART = 229, "the chart cannot be pushed under that name";
    UNRESOLVED_TAG = 230, "the tag releases nothing";
    NO_PLATFORM = 231, "there is no image for this platform";
    CORRUPT_CONTENT = 232, "the registry sent other content than promised";
    ANSWER_TOO_LARGE = 233, "the answer of the registry is too large";
    UNSAFE_REDIRECT = 234, "the registry points to an address that is refused";
    WRITE_WHILE_PLANNING = 235, "a write while planning";
    PULL_NOT_WRITTEN = 236, "what was pulled cannot be written";
    HARBOR_PROJECT_NAME = 237, "the name is no name of a Harbor project";
    NOT_A_CHART = 238, "this is no Helm chart";
    NOT_A_RECORD = 239, "this is not a release record";
    BODY_LIMIT = 240, "a proxy does not take a request as large as a layer";
    NO_REPOSITORY = 241, "the repository has to be created first";
    PROXY_UNREACHABLE = 242, "the proxy on the way to a registry cannot be reached";
    PROXY_REFUSES = 243, "the proxy does not connect to the registry";
    PROXY_LOGIN = 244, "the proxy wants a login";
    TOO_MANY_REQUESTS = 245, "the registry limits how often it is asked";

    // Clusters
    OBJECT_INCOMPLETE = 300, "an object lacks what names it";
    IMAGE_NOT_FOUND = 301, "the image does not exist";
    IMAGE_PULL = 302, "the image cannot be pulled";
    CRASH_LOOP = 303, "a container crashes at start";
    CONTAINER_START = 304, "a container cannot be started";
    MISSING_REFERENCE = 305, "something that a pod names does not exist";
    UNSCHEDULABLE = 306, "no node takes the pod";
    PODS_REFUSED = 307, "the pods are refused";
    NOT_READY = 308, "it does not become ready";
    SMOKE_CHECK_FAILED = 309, "a smoke check failed";
    CLUSTER_UNREACHABLE = 310, "the cluster cannot be reached";
    KUBECONFIG_UNUSABLE = 311, "the kubeconfig is not usable";
    OBJECT_REFUSED = 312, "the cluster refuses an object";
    FIELD_CONFLICT = 313, "another manager owns a field";
    UNKNOWN_KIND = 314, "the cluster does not know the kind";
    CLUSTER_FORBIDS = 315, "the cluster forbids it";
    CLUSTER_REQUEST = 316, "a request to the cluster failed";
    OUT_OF_MEMORY = 317, "a container used too much memory";
    JOB_FAILED = 318, "a job failed";
    SUPERSEDED = 319, "it was changed while it was awaited";
    NO_CLUSTER = 320, "no cluster is named";
    CHART_NOT_RENDERED = 330, "a chart cannot be rendered";
    CHART_UNSTABLE = 341, "a chart renders to something else each time";
    OTHER_OWNER = 350, "an object belongs to somebody else";
    CHART_NAME_UNFIT = 351, "the name of the chart does not fit";
    INVENTORY_DAMAGED = 353, "the list of what is delivered is damaged";
    INVENTORY_FOREIGN_ENTRY = 354, "the list of what is delivered names a foreign object";
    OBJECT_INVALID = 355, "an object is not valid";
    FIELDS_DROPPED = 356, "the cluster would drop fields";
    PROXY_UNUSABLE = 357, "the proxy cannot be used";

    // The local node
    NODE_NEEDS_ROOT = 401, "the local node needs root";
    NODE_DISK_SPACE = 402, "there is not enough disk space";
    NODE_SETTING = 403, "a setting of the local node is not valid";
    NODE_PORT_TAKEN = 404, "a port is taken";
    OTHER_NODE_RUNS = 405, "another Kubernetes node runs on this machine";
    NODE_ADDRESS_RANGE = 406, "an address range is in use";
    NODE_PACKAGES = 407, "packages are missing";
    NODE_GO_MISSING = 408, "there is no Go toolchain";
    NODE_PROGRAM_BUILD = 409, "building the program of the node failed";
    NODE_CERTIFICATE = 410, "a certificate cannot be issued";
    NODE_FILE = 411, "a file of the node cannot be used";
    NODE_PROCESS = 412, "a process of the node cannot be handled";
    NODE_COMPONENT_DIED = 413, "a component of the node ended while it started";
    NODE_NOT_READY = 414, "the node does not become ready";
    NODE_TOOL = 415, "a program of the node failed";
    NODE_API = 416, "the API of the node failed";
    NODE_IMPORT = 417, "the image cannot be imported";
    NODE_REFERENCE = 418, "the name of an image or namespace cannot be used";
    NODE_NOT_RUNNING = 419, "the local node is not running";
    K3D_MISSING = 440, "k3d or docker is not installed";
    K3D_NAME = 441, "the name cannot be the name of a k3d cluster";
    K3D_FAILED = 442, "k3d failed";
    K3D_ANSWER = 443, "the answer of k3d cannot be read";
    K3D_NO_CLUSTER = 444, "there is no such k3d cluster";
    K3D_IMPORT = 445, "an image cannot be imported into k3d";

    // Releases
    UNITS_CONFLICT = 501, "the apps cannot be registered together";
    VERSION_MISMATCH = 502, "tag and source disagree about the version";
    CRATE_VERSION = 503, "the version of a crate cannot be read";
    NO_GIT_REPOSITORY = 504, "the project is not in a git repository";
    NO_COMMIT = 505, "the git repository has no commit";
    DIRTY_WORK_TREE = 506, "the work tree differs from the commit";
    TAG_ELSEWHERE = 507, "the tag stands for another commit";
    GIT_FAILED = 508, "git failed";
    CHART_NOT_DERIVABLE = 510, "the chart cannot be derived";
    CHART_VALUE = 511, "a chart value is not valid";
    CHART_SECRET = 512, "the chart would hold a secret";
    CHART_FILE = 513, "a file of the chart cannot be used";
    CHART_IMAGE_UNPINNED = 514, "the chart does not name its image by digest";
    CHART_FUNCTION = 515, "the chart function of the app failed";
    CHART_NOT_PACKED = 516, "the chart cannot be packed";
    NO_WORK_TREE = 520, "this is no checkout of the sources";
    NOT_RELEASED = 530, "the version is not released";
    RELEASE_RECORD = 531, "the release record cannot be used";
    IMAGE_OR_CHART_MISSING = 532, "the app has no such image or chart";
    NO_SOURCES = 533, "the sources of the program are not on this machine";
    BUNDLED_IMAGE_NAME = 534, "a bundled image cannot be named";

    // The fleet
    FLEET_ADDRESS_FILE = 601, "the address of the fleet cannot be kept for harmony-fleet";
    FLEET_CERTIFICATE = 602, "no certificate for the NATS of the fleet can be made";
}
