/** Which method of Google's description of Batch each call by gRPC is. */
import { type Discovery, type Rules, readDiscovery } from '../google/discovery.ts';

const jobs = 'batch.projects.locations.jobs';

/** What a deletion's operation tells of itself: in the SDK's protos, and nowhere in the description. */
export const UNDESCRIBED = 'google.cloud.batch.v1.OperationMetadata';

export const rules: Rules = {
  methods: {
    'google.cloud.batch.v1.BatchService/CreateJob': { id: `${jobs}.create`, body: 'job' },
    'google.cloud.batch.v1.BatchService/GetJob': { id: `${jobs}.get` },
    'google.cloud.batch.v1.BatchService/ListJobs': { id: `${jobs}.list` },
    'google.cloud.batch.v1.BatchService/DeleteJob': { id: `${jobs}.delete` },
    'google.cloud.batch.v1.BatchService/ListTasks': { id: `${jobs}.taskGroups.tasks.list` },
  },
  schemaOf: (message) =>
    message === UNDESCRIBED ? undefined : message.replace(/^google\.(cloud\.batch\.v1|protobuf)\./, ''),
};

export const readDescription = (): Discovery | undefined => readDiscovery('google-batch-v1.discovery.json', rules);
