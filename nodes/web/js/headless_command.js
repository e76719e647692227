// Menu entries of the canvas: the shell command that runs the workflow without ComfyUI, and its API format.
import { api } from '../../../scripts/api.js'
import { app } from '../../../scripts/app.js'
import { say } from './words.js'

const FOLDER = 'upscale8k' // among the user's files on the server, beside workflows/
const COPY = 'Upscale8K.CopyHeadlessCommand'
const EXPORT = 'Comfy.ExportWorkflowAPI'

const toast = (severity, summary, detail) => app.extensionManager.toast.add({ severity, summary, detail, life: 15000 })

function everyNode(graph) {
  return graph.nodes.flatMap((node) => [node, ...(node.subgraph ? everyNode(node.subgraph) : [])])
}

/** Save the current graph among the user's files and request the command that runs it. */
async function command() {
  const name = app.extensionManager.workflow.activeWorkflow?.filename ?? 'workflow'
  const file = `${FOLDER}/${name.replace(/[^\p{L}\p{N}._ -]/gu, '_')}.json`
  const { workflow } = await app.graphToPrompt()
  await api.storeUserData(file, workflow)
  const modules = everyNode(app.rootGraph).map((node) => node.constructor.nodeData?.python_module ?? '')
  const packs = [...new Set(modules)].filter((module) => module.startsWith('custom_nodes.'))
  const query = new URLSearchParams([['file', file], ...packs.map((pack) => ['pack', pack])])
  const answer = await api.fetchApi(`/upscale8k/command?${query}`)
  const said = await answer.json()
  if (!answer.ok) throw new Error(said.error)
  return said.command
}

async function copy() {
  try {
    const line = await command()
    try {
      await navigator.clipboard.writeText(line)
      toast('success', say('Copied. Run it in a shell on the computer of this server:'), line)
    } catch {
      // A page loaded over plain HTTP from another computer may not write to the clipboard.
      const title = say('Headless command')
      await app.extensionManager.dialog.prompt({ title, message: say('Copy this line:'), defaultValue: line })
    }
  } catch (error) {
    toast('error', say('No command'), error.message)
  }
}

app.registerExtension({
  name: 'Upscale8K.HeadlessCommand',
  commands: [{ id: COPY, icon: 'pi pi-copy', label: () => say('Copy headless command'), function: copy }],
  menuCommands: [{ path: ['File'], commands: [COPY] }],
  getCanvasMenuItems: () => [
    null,
    { content: say('Copy headless command'), callback: () => void copy() },
    { content: say('Export API JSON'), callback: () => void app.extensionManager.command.execute(EXPORT) }
  ]
})
