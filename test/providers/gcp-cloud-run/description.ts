/** Google's description of Cloud Run's API, and what each call of the gRPC form is called there. */
import { type Discovery, type Rules, readDiscovery } from '../google/discovery.ts';

export const rules: Rules = {
  methods: {
    'google.cloud.run.v2.Jobs/CreateJob': { id: 'run.projects.locations.jobs.create', body: 'job' },
    'google.cloud.run.v2.Jobs/GetJob': { id: 'run.projects.locations.jobs.get' },
    'google.cloud.run.v2.Jobs/ListJobs': { id: 'run.projects.locations.jobs.list' },
    'google.cloud.run.v2.Jobs/DeleteJob': { id: 'run.projects.locations.jobs.delete' },
    'google.cloud.run.v2.Jobs/RunJob': { id: 'run.projects.locations.jobs.run', body: '*' },
    'google.cloud.run.v2.Executions/GetExecution': { id: 'run.projects.locations.jobs.executions.get' },
    'google.cloud.run.v2.Executions/ListExecutions': { id: 'run.projects.locations.jobs.executions.list' },
    'google.cloud.run.v2.Executions/CancelExecution': {
      id: 'run.projects.locations.jobs.executions.cancel',
      body: '*',
    },
    'google.cloud.run.v2.Executions/DeleteExecution': { id: 'run.projects.locations.jobs.executions.delete' },
    'google.cloud.run.v2.Tasks/ListTasks': { id: 'run.projects.locations.jobs.executions.tasks.list' },
  },
  schemaOf: (message) => message.replace(/^google\.cloud\.run\.v2\./, 'GoogleCloudRunV2'),
};

/** Undefined where the description is not at hand. */
export function readDescription(): Discovery | undefined {
  return readDiscovery('google-run-v2.discovery.json', rules);
}
