/** The minimum cost of a start: Node opens a database and listens. Argument: the database file. */
import { createServer } from 'node:http';
import Sqlite from 'better-sqlite3';
import { serveParent } from './child.ts';

const [path] = process.argv.slice(2);
if (process.send !== undefined && path !== undefined) {
  const database = new Sqlite(path);
  database.pragma('journal_mode = WAL');
  database.exec('create table if not exists jobs (key text primary key)');
  const server = createServer((_request, response) => response.end());
  server.listen(0, '127.0.0.1', () => {
    const address = server.address();
    if (address !== null && typeof address === 'object') process.send?.({ port: address.port });
  });
  serveParent(async () => undefined);
}
